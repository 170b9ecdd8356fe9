"""The field against brute force over all label sequences, and sequences against their batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chains import all_paths, field, is_allowed, log_likelihood, marginals
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.heads.constraints import Constraints, allowed_sequences
from pipeline.heads.crf import LinearChainCRF
from pipeline.tasks.label_type import IGNORE

BIO = ["O", "B-x", "I-x"]
BIOES = ["S-x", "B-x", "I-x", "E-x"]
NAMES = {
    "bio": ["B-loc", "B-per", "I-loc", "I-per", "O"],
    "bioes": ["B-loc", "B-per", "E-loc", "E-per", "I-loc", "I-per", "O", "S-loc", "S-per"],
}


@st.composite
def fields(draw: st.DrawFn, dtype: torch.dtype) -> tuple[LinearChainCRF, Tensor, list[int]]:
    """A random field, emissions for it, and lengths short enough to list all label sequences."""
    rules = draw(st.sampled_from([None, "bio", "bioes"]))
    constraints: Constraints | None = None
    if rules is None:
        labels = draw(st.integers(1, 4))
    else:
        names = BIO if rules == "bio" else BIOES
        labels, constraints = len(names), allowed_sequences(names, rules)
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    seed, spread = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.0, 1.0, 5.0]))
    crf = field(labels, constraints, seed=seed, spread=spread, dtype=dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    emissions = spread * torch.randn(sum(lengths), labels, generator=generator, dtype=dtype)
    return crf, emissions, lengths


def some_tags(crf: LinearChainCRF, emissions: Tensor, lengths: list[int], seed: int) -> Tensor:
    """An allowed sequence of labels for each, a fifth of them unknown."""
    rng = np.random.default_rng(seed)
    tags: list[int] = []
    for part in emissions.split(lengths):
        paths, _ = all_paths(crf, part)
        tags += paths[rng.integers(len(paths))]
    return torch.from_numpy(np.where(rng.random(len(tags)) < 0.2, IGNORE, tags))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_likelihood_and_its_gradients_equal_brute_force(
    dtype: torch.dtype, tolerance: float, data: st.DataObject
) -> None:
    crf, emissions, lengths = data.draw(fields(dtype))
    tags = some_tags(crf, emissions, lengths, data.draw(st.integers(0, 100)))
    emissions.requires_grad_()
    parameters = [emissions, *crf.parameters()]

    ours = crf.log_likelihood(emissions, tags, lengths)
    parts = zip(emissions.split(lengths), tags.split(lengths), strict=True)
    expected = torch.stack([log_likelihood(crf, part, gold.tolist()) for part, gold in parts])
    weights = torch.arange(1.0, len(lengths) + 1, dtype=dtype)
    gradients = torch.autograd.grad((ours * weights).sum(), parameters)
    brute = torch.autograd.grad(
        (expected * weights).sum(), parameters, allow_unused=True, materialize_grads=True
    )

    assert ours.dtype == dtype
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
    for gradient, other in zip(gradients, brute, strict=True):
        torch.testing.assert_close(gradient, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_marginals_and_best_paths_equal_brute_force(
    dtype: torch.dtype, tolerance: float, data: st.DataObject
) -> None:
    crf, emissions, lengths = data.draw(fields(dtype))
    parts = emissions.split(lengths)
    probabilities = crf.marginals(emissions, lengths)
    expected = torch.cat([marginals(crf, part) for part in parts])
    torch.testing.assert_close(probabilities, expected, rtol=tolerance, atol=tolerance)

    labels, scores = crf.viterbi(emissions, lengths)
    for part, path, score in zip(parts, labels.split(lengths), scores, strict=True):
        paths, each = all_paths(crf, part)
        torch.testing.assert_close(score, each.max(), rtol=tolerance, atol=tolerance)
        best = each[paths.index(tuple(path.tolist()))]
        torch.testing.assert_close(best, each.max(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("names", [BIO, BIOES])
def test_gradients_are_those_of_finite_differences(names: list[str]) -> None:
    crf = field(len(names), allowed_sequences(names, "bio" if names is BIO else "bioes"))
    lengths = [4, 1, 9]
    tags, _ = crf.viterbi(torch.randn(14, len(names), dtype=torch.float64), lengths)
    tags[[1, 7, 8]] = IGNORE

    def value(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        parameters = {"transitions": transitions, "start": start, "end": end}
        return torch.func.functional_call(
            _Likelihood(crf, tags, lengths), _prefixed(parameters), (emissions,)
        )

    emissions = torch.randn(14, len(names), dtype=torch.float64, requires_grad=True)
    inputs = (emissions, *(p.detach().clone().requires_grad_() for p in crf.parameters()))
    assert torch.autograd.gradcheck(value, inputs)


class _Likelihood(torch.nn.Module):
    def __init__(self, crf: LinearChainCRF, tags: Tensor, lengths: list[int]) -> None:
        super().__init__()
        self.crf, self.tags, self.lengths = crf, tags, lengths

    def forward(self, emissions: Tensor) -> Tensor:
        return self.crf.log_likelihood(emissions, self.tags, self.lengths)


def _prefixed(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"crf.{name}": parameter for name, parameter in parameters.items()}


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_decoding_never_breaks_the_scheme(scheme: str) -> None:
    names = NAMES[scheme]
    rules = allowed_sequences(names, scheme)
    rng = np.random.default_rng(0)
    for case in range(500):
        spread = float(rng.choice([0.1, 3.0, 1000.0]))
        crf = field(len(names), rules, seed=case, spread=spread, dtype=torch.float32)
        lengths = rng.integers(1, 12, 3).tolist()
        emissions = torch.from_numpy(rng.normal(0, spread, (sum(lengths), len(names)))).float()
        labels, scores = crf.viterbi(emissions, lengths)
        assert scores.isfinite().all()
        for path in labels.split(lengths):
            assert is_allowed(tuple(path.tolist()), rules)
        probabilities = crf.marginals(emissions, lengths)
        first = [0, *np.cumsum(lengths)[:-1]]
        assert (probabilities[first][:, ~rules.starts] == 0).all()
        torch.testing.assert_close(probabilities.sum(1), torch.ones(sum(lengths)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("labels", [3, 9, 37, 150])
def test_results_are_the_same_bits_whatever_the_batch(
    set_threads, threads: int, labels: int, dtype: torch.dtype
) -> None:
    set_threads(threads)
    generator = torch.Generator().manual_seed(labels)
    crf = field(labels, seed=1, dtype=dtype)
    lengths = torch.randint(1, 40, (80,), generator=generator).tolist()
    texts = [
        4 * torch.randn(length, labels, generator=generator, dtype=dtype) for length in lengths
    ]
    texts[7] *= 400  # computed in logarithms
    gold = [torch.randint(0, labels, (length,), generator=generator) for length in lengths]
    for tags in gold[::9]:
        tags[len(tags) // 2] = IGNORE

    def results(chosen: list[int]) -> list[tuple[Tensor, ...]]:
        some = [lengths[text] for text in chosen]
        emissions = torch.cat([texts[text] for text in chosen]).requires_grad_()
        likelihood = crf.log_likelihood(emissions, torch.cat([gold[i] for i in chosen]), some)
        gradient = torch.autograd.grad(likelihood.sum(), emissions)[0]
        labels, scores = crf.viterbi(emissions, some)
        words = (gradient, crf.marginals(emissions, some), labels)
        parts = [values.split(some) for values in words]
        return list(zip(likelihood.detach(), scores.detach(), *parts, strict=True))

    expected = results(list(range(80)))
    for size in (1, 2, 5, 15, 16, 17, 33):
        chosen = [*torch.randperm(80, generator=generator)[: size - 1].tolist(), 7]
        for text, result in zip(chosen, results(chosen), strict=True):
            for value, other in zip(result, expected[text], strict=True):
                assert torch.equal(value, other)


@pytest.mark.parametrize("scheme", ["bio", "bioes", None])
@pytest.mark.parametrize("spread", [30.0, 300.0, 3000.0, 1e6])
def test_scores_far_apart_give_exact_results_and_gradients(
    scheme: str | None, spread: float
) -> None:
    names = BIO if scheme == "bio" else BIOES
    rules = allowed_sequences(names, scheme)
    generator = torch.Generator().manual_seed(0)
    for seed in range(10):
        crf = field(len(names), rules, seed=seed, spread=spread)
        lengths = [5, 2, 4]
        emissions = spread * torch.randn(11, len(names), generator=generator, dtype=torch.float64)
        emissions.requires_grad_()
        tags = some_tags(crf, emissions, lengths, seed)
        parameters = [emissions, *crf.parameters()]
        ours = crf.log_likelihood(emissions, tags, lengths)
        parts = zip(emissions.split(lengths), tags.split(lengths), strict=True)
        expected = torch.stack([log_likelihood(crf, part, gold.tolist()) for part, gold in parts])
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=spread * 1e-12)
        gradients = torch.autograd.grad(ours.sum(), parameters)
        brute = torch.autograd.grad(expected.sum(), parameters)
        # Probabilities are as exact as differences of scores of this size can be.
        for gradient, other in zip(gradients, brute, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-9, atol=spread * 1e-13 + 1e-12)


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_gold_labels_that_are_not_allowed_have_a_finite_likelihood(scheme: str) -> None:
    names = NAMES[scheme]
    crf = field(len(names), allowed_sequences(names, scheme), dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    lengths = [7, 1, 3, 12, 1]
    for _ in range(50):
        tags = torch.randint(0, len(names), (24,), generator=generator)
        tags[torch.rand(24, generator=generator) < 0.2] = IGNORE
        emissions = torch.randn(24, len(names), generator=generator, requires_grad=True)
        likelihood = crf.log_likelihood(emissions, tags, lengths)
        crf.zero_grad()
        likelihood.sum().backward()
        assert (likelihood <= 1e-6).all()
        assert likelihood.isfinite().all()
        for tensor in (emissions, *crf.parameters()):
            assert tensor.grad.isfinite().all()


def test_a_label_that_cannot_be_counts_as_unknown() -> None:
    crf = field(len(BIO), allowed_sequences(BIO, "bio"))
    emissions = torch.randn(4, len(BIO), dtype=torch.float64)
    outside, inside = BIO.index("O"), BIO.index("I-x")
    cut = torch.tensor([outside, inside, inside, outside])
    unknown = torch.tensor([outside, IGNORE, inside, outside])
    ours = crf.log_likelihood(emissions, cut, [4])
    assert torch.equal(ours, crf.log_likelihood(emissions, unknown, [4]))
    assert torch.equal(cut, torch.tensor([outside, inside, inside, outside]))


def test_all_labels_unknown_is_certain() -> None:
    crf = field(5)
    emissions = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    likelihood = crf.log_likelihood(emissions, torch.full((6,), IGNORE), [2, 4])
    assert torch.equal(likelihood, torch.zeros(2, dtype=torch.float64))
    likelihood.sum().backward()
    assert emissions.grad.abs().max() < 1e-12


def test_parameters_that_are_not_allowed_learn_nothing() -> None:
    rules = allowed_sequences(BIO, "bio")
    crf = field(3, rules)
    crf.log_likelihood(torch.randn(5, 3).double(), torch.tensor([0, 1, 2, 2, 0]), [5]).backward()
    assert (crf.transitions.grad[~torch.from_numpy(rules.transitions)] == 0).all()
    assert (crf.start.grad[~torch.from_numpy(rules.starts)] == 0).all()


def test_a_new_field_is_a_softmax_of_each_word() -> None:
    emissions = torch.randn(9, 6, dtype=torch.float64)
    crf = LinearChainCRF(6)
    torch.testing.assert_close(crf.marginals(emissions, [4, 5]), emissions.softmax(1))
    assert torch.equal(crf.viterbi(emissions, [4, 5])[0], emissions.argmax(1))


def test_a_field_saves_its_parameters_and_nothing_else() -> None:
    crf = LinearChainCRF(3, allowed_sequences(BIO, "bio"))
    assert {name: tuple(value.shape) for name, value in crf.state_dict().items()} == {
        "transitions": (3, 3),
        "start": (3,),
        "end": (3,),
    }


def test_words_are_counted() -> None:
    crf, emissions = LinearChainCRF(3), torch.zeros(4, 3)
    tags = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="sequences of 3 words, emissions of 4"):
        crf.viterbi(emissions, [1, 2])
    with pytest.raises(ValueError, match="3 tags for 4 words"):
        crf.log_likelihood(emissions, tags[:3], [4])
    with pytest.raises(ValueError, match="at least one"):
        crf.marginals(emissions, [4, 0])
    with pytest.raises(ValueError, match="constraints of 3 labels for 4"):
        LinearChainCRF(4, allowed_sequences(BIO, "bio"))
