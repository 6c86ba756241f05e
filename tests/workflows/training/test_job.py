"""A training job: when its time is up."""

import pickle

from iddm_cli.workflows.training.job import Job, JobOptions
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack


def test_the_time_is_counted_from_the_start_of_the_command(tmp_path):
    options = JobOptions(tmp_path, started=100.0)
    assert Job(tiny_profile(), make_pack(), options).deadline is None
    limited = tiny_profile(runtime={"max_time": "2m"})
    assert Job(limited, make_pack(), options).deadline == 220.0


def test_a_job_can_be_sent_to_another_process(tmp_path):
    job = Job(tiny_profile(), make_pack(), JobOptions(tmp_path, name="one"))
    sent = pickle.loads(pickle.dumps(job))
    assert (sent.profile, sent.options) == (job.profile, job.options)
    assert sent.pack.labels.tolist() == job.pack.labels.tolist()
