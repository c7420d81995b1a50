from core.domain.inbox import Receipt


def test_archiving_includes_reading_and_reading_includes_seeing():
    assert Receipt.SEEN.implied == (Receipt.SEEN,)
    assert Receipt.READ.implied == (Receipt.SEEN, Receipt.READ)
    assert Receipt.ARCHIVED.implied == (Receipt.SEEN, Receipt.READ, Receipt.ARCHIVED)
