"""The text format: cumulative buckets, escaped labels, one header per metric."""

from iddm_cli.serving.scheduling.server_metrics import METRICS, ServerMetrics


def test_buckets_are_cumulative():
    metrics = ServerMetrics()
    for value in (1, 5, 1000):
        metrics.observe("iddm_batch_images", value, model="pets")
    text = metrics.render({})
    assert 'iddm_batch_images_bucket{model="pets",le="1"} 1\n' in text
    assert 'iddm_batch_images_bucket{model="pets",le="8"} 2\n' in text
    assert 'iddm_batch_images_bucket{model="pets",le="+Inf"} 3\n' in text
    assert 'iddm_batch_images_sum{model="pets"} 1006\n' in text
    assert 'iddm_batch_images_count{model="pets"} 3\n' in text


def test_counters_add_up_by_label():
    metrics = ServerMetrics()
    metrics.count("iddm_images_total", 2, model="a")
    metrics.count("iddm_images_total", model="a")
    metrics.count("iddm_images_total", model="b")
    text = metrics.render({"running": 4})
    assert 'iddm_images_total{model="a"} 3\n' in text
    assert 'iddm_images_total{model="b"} 1\n' in text
    assert 'iddm_jobs{state="running"} 4\n' in text


def test_every_metric_has_its_type_once_and_labels_are_escaped():
    metrics = ServerMetrics()
    metrics.count("iddm_images_total", model='a "b"\\\n')
    text = metrics.render({})
    assert 'iddm_images_total{model="a \\"b\\"\\\\\\n"} 1' in text
    assert text.count("# TYPE ") == len(METRICS)
