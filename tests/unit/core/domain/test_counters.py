from core.domain.counters import added


def test_counters_are_summed_by_name_and_nothing_is_left_out_but_zeros():
    assert added({"rejected": 1, "drafts": 0}, {"rejected": 2, "submitted": 3}, {}) == {
        "rejected": 3,
        "submitted": 3,
    }
    assert added() == {}
