"""Captions name the images, the seeds and every machine."""

from made_results import FACTS

from sdbnn_lite.analysis.captions import hardware, study_line


def test_a_caption_gives_the_range_of_n_and_the_gpu():
    assert "n = 2 to 3;" in study_line(FACTS, [3, 2, 3])
    assert hardware({"machine": {"gpu": "NVIDIA H200", "cpu": "x", "threads": 1}}) == "NVIDIA H200"
    assert hardware({"machine": {"gpu": None, "cpu": "A(R) B(TM)", "threads": 1}}) == "A B, 1 thread"


def test_a_caption_names_every_machine_of_a_run_and_the_same_processor_once():
    one, two, other = ({"gpu": None, "cpu": cpu, "threads": n} for cpu, n in (("A", 1), ("A", 2), ("B", 2)))
    run = {"earlier": [{"epochs": 3, "machine": other}, {"epochs": 5, "machine": one}], "machine": two}
    assert hardware(run) == "B, 2 threads up to epoch 3, then A, 1 thread up to epoch 5, then 2 threads"
    again = {"earlier": [{"epochs": 3, "machine": one}, {"epochs": 5, "machine": {**one, "kernels": "avx2"}}]}
    assert hardware({**again, "machine": two}) == "A, 1 thread up to epoch 5, then 2 threads"
    assert hardware({**again, "machine": one}) == "A, 1 thread"  # resumed, but nowhere else
    assert hardware({**run, "machine": other}) == "B, 2 threads and A, 1 thread by turns"
    there_and_back = [{"epochs": 3, "machine": one}, {"epochs": 5, "machine": two}]
    assert hardware({"earlier": there_and_back, "machine": one}) == "A, 1 thread and 2 threads by turns"
