"""How the replay tests read histories: as the service does, with a key that is no secret.

One history is recorded encrypted. Its key is made of a sentence, so that it stands in no file and everybody has it.
"""

import base64
from hashlib import sha256

from pydantic import SecretStr

from adapters.crypto.payload_codec import encrypting

_SENTENCE = "sb-transfer: the key of a recorded history, which holds nobody's data"
CONVERTER = encrypting([SecretStr(base64.b64encode(sha256(_SENTENCE.encode()).digest()).decode())])
