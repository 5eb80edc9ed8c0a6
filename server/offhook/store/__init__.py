"""The database: one row a call, for finding calls. What happened on a call is on its timeline, not here."""

from offhook.store.records import CallRecord, CallState, Ending
from offhook.store.store import AmbiguousCall, NoSuchCall, Store, StoreError

__all__ = ["AmbiguousCall", "CallRecord", "CallState", "Ending", "NoSuchCall", "Store", "StoreError"]
