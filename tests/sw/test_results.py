"""Results are current as long as their inputs are."""

from ssm_hdl.sw import results


def test_a_result_is_stale_when_code_changes_but_not_when_words_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("ssm_hdl", "gen", "sim", "boards", "manifests/small"):
        (tmp_path / folder).mkdir(parents=True)
    code, weights = tmp_path / "gen" / "a.py", tmp_path / "manifests" / "small" / "weights"
    code.write_text('"""Words."""\nx = 1  # why\n')
    weights.write_bytes(b"1")
    assert results.stale() == list(results.TARGETS)
    for name in results.TARGETS:
        results.record(name)
    assert results.stale() == []
    code.write_text('"""Other words."""\n\nx = 1\n')
    assert results.stale() == []
    (tmp_path / "boards" / "b.py").write_text("y = 2\n")
    assert results.stale() == ["estimates.json", "bitstreams.json", "bench.json", "deep.json", "har.json"]
    weights.write_bytes(b"2")
    assert results.stale() == list(results.TARGETS)
