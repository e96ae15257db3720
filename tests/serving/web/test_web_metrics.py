"""What Prometheus reads of a server."""

from web_server import picture, serving

from pawprint.serving.web.watching import Watched


def measured(server):
    """Values by name and labels, as they are exposed."""
    text = server.get("metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_requests_pictures_batches_and_the_model_are_counted(network):
    with serving(Watched(str(network))) as server:
        labels = []
        for seed in range(5):
            rows = server.send(picture(seed), picture(seed + 10)).json()["predictions"]
            labels += [row["label"] for row in rows]
        server.send(b"hello")
        server.get("nowhere")
        values = measured(server)
    assert values['pawprint_requests_total{route="/predict",status="200"}'] == 5
    assert values['pawprint_requests_total{route="/predict",status="415"}'] == 1
    assert values['pawprint_requests_total{route="other",status="404"}'] == 1
    for label in set(labels):
        assert values[f'pawprint_pictures_total{{label="{label}"}}'] == labels.count(label)
    assert values["pawprint_problems_total"] == 1
    assert values["pawprint_batch_pictures_sum"] == 10
    assert 5 <= values["pawprint_batch_pictures_count"] <= 10
    assert values["pawprint_predict_seconds_count"] == 6
    assert values["pawprint_waiting_pictures"] == 0
    assert values[f'pawprint_model_version{{name="{network}",run_id=""}}'] == 0
    assert values["process_resident_memory_bytes"] > 1e7


def test_paths_that_do_not_exist_make_no_new_series(network):
    with serving(Watched(str(network))) as server:
        for place in range(5):
            server.get(f"nowhere/{place}")
        values = measured(server)
    named = [name for name in values if name.startswith("pawprint_requests_total")]
    assert named == ['pawprint_requests_total{route="other",status="404"}']
    assert values[named[0]] == 5
