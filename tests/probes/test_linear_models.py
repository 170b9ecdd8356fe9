"""Linear models are those of scikit-learn, for the same objective."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.special import softmax as scipy_softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pipeline.core.environment import one_thread
from pipeline.probes import lbfgs, rows, standardised
from pipeline.probes.linear_models import LinearFit, LinearModel, Loss
from pipeline.probes.rows import DenseBlock, Rows, Span, SparseRows

ROWS, WIDTH = 300, 12
TIGHT = 1e-10


class Held(Rows):
    """Rows of a matrix in memory."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = torch.from_numpy(values.astype(np.float32))
        self.count, self.width = values.shape

    def read(self, span: Span) -> DenseBlock:
        return DenseBlock(self.values[span].clone())


def fit_of(values: np.ndarray, targets: np.ndarray, loss: Loss, *, outputs: int = 3) -> LinearFit:
    return LinearFit(Held(values), targets, outputs=outputs, loss=loss)


def features(rows: int = ROWS, *, seed: int = 0) -> np.ndarray:
    """As hidden states are: correlated, of other scales and means; one is constant."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, WIDTH)) @ rng.normal(size=(WIDTH, WIDTH)) * 3 + 5
    values[:, 4] = 0.25
    return values.astype(np.float32).astype(np.float64)


def classes(values: np.ndarray, *, seed: int = 1) -> np.ndarray:
    """Three classes that follow from the features, one of them rare."""
    rng = np.random.default_rng(seed)
    standard = StandardScaler().fit_transform(values.astype(np.float64))
    logits = standard @ rng.normal(size=(WIDTH, 3)) + rng.gumbel(size=(len(values), 3))
    return (logits + np.array([0, 0, -3])).argmax(1)


def one_hot(names: np.ndarray) -> np.ndarray:
    return np.eye(names.max() + 1)[names]


def softmax(outputs: np.ndarray) -> np.ndarray:
    return scipy_softmax(outputs, axis=1)


def standard_weights(model: LinearModel, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights on standardised features, and the intercept there, as scikit-learn has them."""
    scaler = StandardScaler().fit(values.astype(np.float64))
    return model.weights * scaler.scale_[:, None], model.bias + scaler.mean_ @ model.weights


@pytest.fixture(params=[1 << 9, 1 << 20], ids=["many blocks", "one block"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, of which few are held and few are looked at for coordinates."""
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", request.param)
    monkeypatch.setattr(standardised, "_HELD_NUMBERS", 2 * request.param)
    monkeypatch.setattr(standardised, "_SAMPLED_NUMBERS", 2 * request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.01, 0.001])
def test_classes_are_fitted_as_by_multinomial_logistic_regression(l2: float) -> None:
    values = features()
    names = classes(values)
    model = fit_of(values, names, "softmax").fit(l2, tolerance=TIGHT)
    assert model.converged
    standard = StandardScaler().fit_transform(values)
    oracle = LogisticRegression(C=1 / (ROWS * l2), tol=1e-10, max_iter=10_000).fit(standard, names)
    weights, bias = standard_weights(model, values)
    assert weights == pytest.approx(oracle.coef_.T, abs=3e-3)
    # A softmax does not notice a number that is added to all intercepts.
    assert bias - bias.mean() == pytest.approx(
        oracle.intercept_ - oracle.intercept_.mean(), abs=3e-3
    )
    assert softmax(model(Held(values))) == pytest.approx(oracle.predict_proba(standard), abs=1e-3)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.001])
def test_labels_are_fitted_as_by_one_logistic_regression_each(l2: float) -> None:
    values = features()
    labels = np.stack([classes(values, seed=seed) == 1 for seed in range(3)], axis=1)
    model = fit_of(values, labels, "sigmoid").fit(l2, tolerance=TIGHT)
    assert model.converged
    standard = StandardScaler().fit_transform(values)
    weights, bias = standard_weights(model, values)
    for column in range(labels.shape[1]):
        oracle = LogisticRegression(C=1 / (ROWS * l2), tol=1e-10, max_iter=10_000)
        oracle.fit(standard, labels[:, column])
        assert weights[:, column] == pytest.approx(oracle.coef_[0], abs=3e-3)
        assert bias[column] == pytest.approx(oracle.intercept_[0], abs=3e-3)
        found = 1 / (1 + np.exp(-model(Held(values))[:, column]))
        assert found == pytest.approx(oracle.predict_proba(standard)[:, 1], abs=1e-3)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.001])
def test_numbers_are_fitted_as_by_ridge_regression(l2: float) -> None:
    values = features()
    rng = np.random.default_rng(2)
    numbers = values @ rng.normal(size=WIDTH) + rng.normal(size=ROWS) * 10 + 1000
    model = fit_of(values, numbers[:, None], "squared", outputs=1).fit(l2, tolerance=TIGHT)
    standard = StandardScaler().fit_transform(values)
    oracle = Ridge(alpha=ROWS * l2).fit(standard, numbers)
    weights, bias = standard_weights(model, values)
    assert weights[:, 0] == pytest.approx(oracle.coef_, abs=1e-3 * np.abs(oracle.coef_).max())
    assert bias[0] == pytest.approx(oracle.intercept_, rel=1e-5)
    found = model(Held(values))[:, 0]
    assert found == pytest.approx(oracle.predict(standard), abs=1e-3 * numbers.std())


@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_sparse_rows_are_fitted_as_they_are(loss: Loss) -> None:
    rng = np.random.default_rng(3)
    values = rng.random((ROWS, 40)) * (rng.random((ROWS, 40)) < 0.2)
    values = values.astype(np.float32).astype(np.float64)
    truth = values @ rng.normal(size=(40, 3)) * 3 + rng.gumbel(size=(ROWS, 3))
    sparse = SparseRows(scipy.sparse.csr_matrix(values.astype(np.float32)))
    if loss == "softmax":
        names = truth.argmax(1)
        model = LinearFit(sparse, names, outputs=3, loss=loss).fit(0.001, tolerance=TIGHT)
        oracle = LogisticRegression(C=1 / (ROWS * 0.001), tol=1e-10, max_iter=10_000)
        found, expected = softmax(model(sparse)), oracle.fit(values, names).predict_proba(values)
    else:
        numbers = truth[:, :1]
        model = LinearFit(sparse, numbers, outputs=1, loss=loss).fit(0.001, tolerance=TIGHT)
        found = model(sparse)[:, 0]
        expected = Ridge(alpha=ROWS * 0.001).fit(values, numbers[:, 0]).predict(values)
    assert model.converged
    assert found == pytest.approx(expected, abs=3e-3)


def test_more_features_than_rows_are_fitted_too() -> None:
    values, names = features(8), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    model = fit_of(values, names, "softmax").fit(0.001, tolerance=TIGHT)
    standard = StandardScaler().fit_transform(values)
    oracle = LogisticRegression(C=1 / (8 * 0.001), tol=1e-10, max_iter=10_000).fit(standard, names)
    assert softmax(model(Held(values))) == pytest.approx(oracle.predict_proba(standard), abs=1e-3)


def test_the_way_to_a_penalty_does_not_matter() -> None:
    values = features()
    names = classes(values)
    along, straight = (fit_of(values, names, "softmax") for _ in range(2))
    for l2 in (0.1, 0.01):
        along.fit(l2, tolerance=1e-3)
    for l2 in (0.001, 0.01):
        a = along.fit(l2, tolerance=TIGHT)
        b = straight.fit(l2, tolerance=TIGHT)
        assert a.weights == pytest.approx(b.weights, abs=2e-3)


@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_threads_do_not_decide_a_bit(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 1 << 9)
    values = features()
    targets = classes(values) if loss == "softmax" else values[:, :1] * 2 + 1

    def fitted() -> LinearModel:
        outputs = 3 if loss == "softmax" else 1
        return fit_of(values, targets, loss, outputs=outputs).fit(0.01, tolerance=1e-6)

    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        a = fitted()
        with one_thread():
            b = fitted()
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(a.weights, b.weights)
    assert np.array_equal(a.bias, b.bias)


def test_a_constant_feature_has_no_weight() -> None:
    values = features()
    model = fit_of(values, classes(values), "softmax").fit(0.01, tolerance=1e-5)
    assert model.weights[4] == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_label_of_no_row_or_of_every_row_stays_finite(share: float) -> None:
    values = features()
    targets = np.full((ROWS, 1), share)
    model = fit_of(values, targets, "sigmoid", outputs=1).fit(0.01, tolerance=1e-5)
    outputs = model(Held(values))
    assert np.isfinite(outputs).all()
    assert ((outputs > 0) == (share == 1)).all()


def test_a_fit_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "MOST_STEPS", 1)
    values = features()
    assert not fit_of(values, classes(values), "softmax").fit(0.01, tolerance=1e-4).converged


def test_no_rows_have_no_outputs() -> None:
    values = features()
    model = fit_of(values, classes(values), "softmax").fit(0.01, tolerance=1e-3)
    assert model(Held(values[:0])).shape == (0, 3)
