"""The console script with a scripted engine: ``python -m tests.fake_memchat ask hello``."""

from memchat import __main__, worker
from tests.fakes import fake_loader

if __name__ == "__main__":
    worker.load_engine = fake_loader
    __main__.main()
