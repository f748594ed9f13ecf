"""One release for each set of values that must work."""

import pytest
from deploy.value_sets import ACCEPTED

from support.chart import Release, render


@pytest.fixture(params=[*ACCEPTED.values()], ids=[*ACCEPTED])
def release(request: pytest.FixtureRequest) -> Release:
    return render(request.param)
