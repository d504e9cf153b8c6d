"""Load tests with locust (`make load`), side-by-side benchmarks (`make bench`): see README.md."""
