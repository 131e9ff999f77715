from tests.support.stores import store_url

__all__ = ["store_url"]
