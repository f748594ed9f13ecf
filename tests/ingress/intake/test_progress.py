from headrace.ingress.intake.progress import Place, Progress

INBOX = Place("inbox.acme", 0)


def test_what_was_passed_on_may_be_committed_once() -> None:
    progress = Progress()
    progress.passed(INBOX, 5, epoch=0)
    assert progress.positions() == {INBOX: 5}
    progress.committed({INBOX: 5})
    assert progress.positions() == {}


def test_the_position_stays_at_the_oldest_answer_that_is_owed() -> None:
    progress = Progress()
    progress.hold(INBOX, 2)
    progress.hold(INBOX, 4)
    progress.passed(INBOX, 9, epoch=0)
    assert progress.positions() == {INBOX: 2}
    progress.release(INBOX, 2)
    assert progress.positions() == {INBOX: 4}
    progress.release(INBOX, 4)
    assert (progress.positions(), progress.held) == ({INBOX: 9}, 0)


def test_partitions_that_are_given_out_anew_start_where_they_were_committed() -> None:
    progress = Progress()
    progress.hold(INBOX, 2)
    progress.passed(INBOX, 9, epoch=0)
    progress.lost()
    progress.release(INBOX, 2)
    assert (progress.positions(), progress.holds(INBOX, 2)) == ({}, False)
    progress.passed(INBOX, 3, epoch=1)
    assert progress.positions() == {INBOX: 3}


def test_a_batch_that_spans_a_rebalance_says_nothing_of_what_may_be_committed() -> None:
    progress = Progress()
    progress.hold(INBOX, 2)
    progress.lost()
    progress.passed(INBOX, 9, epoch=0)
    assert progress.positions() == {}
