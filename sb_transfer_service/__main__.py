"""`python -m sb_transfer_service` is `sb-transfer`."""

from sb_transfer_service import main

main()
