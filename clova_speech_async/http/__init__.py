"""From parameters and an upload to a recognition, over httpx and httpcore: wire, tries, slots, connections."""

import logging

# Silent unless the program wants to hear it.
logging.getLogger("clova_speech_async").addHandler(logging.NullHandler())
