"""The pages: what the manual lets people do, as forms on the API, in Dutch and in English."""
