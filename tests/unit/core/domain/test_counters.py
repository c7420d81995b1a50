from core.domain import clock
from core.domain.counters import SetCounters, added
from core.ports.log import Unit


def test_counters_are_summed_by_name_and_none_is_left_out():
    assert added({"rejected": 1, "drafts": 0}, {"rejected": 2, "submitted": 3, "drafts": 0}, {}) == {
        "rejected": 3,
        "submitted": 3,
        "drafts": 0,
    }
    assert added() == {}


def test_a_push_of_many_takes_its_part_of_a_group():
    def unit(people: int) -> Unit:
        counters = {str(number): {"rejected": 1} for number in range(people)}
        return Unit("cli", changes=(SetCounters(source="cli", people=counters, at=clock.now()),))

    assert 100_000 < unit(500).size_bytes < 1 << 20
    assert unit(1).size_bytes < 1_000
