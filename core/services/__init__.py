"""Use cases: one public coroutine a request. Inside the transaction, commit, publish, in this order."""
