"""The store: the only package that knows SQL. SQLite and PostgreSQL are both first class.

Functions over a `Connection` are plain synchronous SQLAlchemy Core; `Database` runs them in a thread for SQLite
and in a greenlet over asyncpg for PostgreSQL (docs/adr/0003).
"""
