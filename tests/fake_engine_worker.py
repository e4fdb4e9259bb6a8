"""The real worker with a scripted engine: ``python -m tests.fake_engine_worker``."""

import sys

from memchat import worker
from tests.fakes import fake_loader

if __name__ == "__main__":
    sys.exit(worker.main(fake_loader))
