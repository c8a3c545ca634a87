"""The codec server: plain text of encrypted histories, for the Temporal UI and the `temporal` program."""
