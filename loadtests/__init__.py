"""Load tests with locust (`make load`): see README.md."""
