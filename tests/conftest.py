"""What holds for all tests."""

from hypothesis import settings

# No test asserts on time: on a busy machine an example may take longer than hypothesis' 200 ms.
settings.register_profile("durafleet", deadline=None)
settings.load_profile("durafleet")
