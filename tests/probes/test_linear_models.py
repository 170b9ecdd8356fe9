"""Linear models are those of scikit-learn, for the same objective."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pipeline.probes import linear_models
from pipeline.probes.linear_models import LinearFit, LinearModel, best_of

ROWS, WIDTH = 300, 12
TIGHT = 1e-7


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


@pytest.fixture(params=[64, 8192], ids=["many blocks", "one block"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(linear_models, "_ROWS_AT_ONCE", request.param)
    return


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.01, 0.001])
def test_classes_are_fitted_as_by_multinomial_logistic_regression(l2: float) -> None:
    values = features()
    names = classes(values)
    model = LinearFit(values.copy(), one_hot(names), "softmax").fit(l2, tolerance=TIGHT)
    assert model.converged
    standard = StandardScaler().fit_transform(values.astype(np.float64))
    oracle = LogisticRegression(C=1 / (ROWS * l2), tol=1e-10, max_iter=10_000).fit(standard, names)
    weights, bias = standard_weights(model, values)
    assert weights == pytest.approx(oracle.coef_.T, abs=1e-4)
    # A softmax does not notice a number that is added to all intercepts.
    assert bias - bias.mean() == pytest.approx(
        oracle.intercept_ - oracle.intercept_.mean(), abs=1e-4
    )
    assert softmax(model(values)) == pytest.approx(oracle.predict_proba(standard), abs=1e-5)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.001])
def test_labels_are_fitted_as_by_one_logistic_regression_each(l2: float) -> None:
    values = features()
    labels = np.stack([classes(values, seed=seed) == 1 for seed in range(3)], axis=1)
    model = LinearFit(values.copy(), labels.astype(float), "sigmoid").fit(l2, tolerance=TIGHT)
    assert model.converged
    standard = StandardScaler().fit_transform(values.astype(np.float64))
    weights, bias = standard_weights(model, values)
    for column in range(labels.shape[1]):
        oracle = LogisticRegression(C=1 / (ROWS * l2), tol=1e-10, max_iter=10_000)
        oracle.fit(standard, labels[:, column])
        assert weights[:, column] == pytest.approx(oracle.coef_[0], abs=1e-5)
        assert bias[column] == pytest.approx(oracle.intercept_[0], abs=1e-5)
        found = 1 / (1 + np.exp(-model(values)[:, column]))
        assert found == pytest.approx(oracle.predict_proba(standard)[:, 1], abs=1e-6)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("l2", [0.1, 0.001])
def test_numbers_are_fitted_as_by_ridge_regression(l2: float) -> None:
    values = features()
    rng = np.random.default_rng(2)
    numbers = values @ rng.normal(size=WIDTH) + rng.normal(size=ROWS) * 10 + 1000
    model = LinearFit(values.copy(), numbers[:, None], "squared").fit(l2, tolerance=TIGHT)
    standard = StandardScaler().fit_transform(values.astype(np.float64))
    oracle = Ridge(alpha=ROWS * l2).fit(standard, numbers)
    weights, bias = standard_weights(model, values)
    assert weights[:, 0] == pytest.approx(oracle.coef_, rel=1e-5, abs=1e-5)
    assert bias[0] == pytest.approx(oracle.intercept_, rel=1e-6)
    assert model(values)[:, 0] == pytest.approx(oracle.predict(standard), rel=1e-7)


def test_products_in_float32_come_close() -> None:
    values = features()
    targets = one_hot(classes(values))
    exact = LinearFit(values.copy(), targets, "softmax").fit(0.001, tolerance=TIGHT)
    # With MKL's AVX2 kernels, as with others' rounding, the descent may end short of 1e-5.
    quick = LinearFit(values.astype(np.float32), targets, "softmax").fit(0.001, tolerance=4e-5)
    assert quick.converged
    assert softmax(quick(values)) == pytest.approx(softmax(exact(values)), abs=1e-3)


def test_more_features_than_rows_are_fitted_too() -> None:
    values, names = features(8), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    model = LinearFit(values.copy(), one_hot(names), "softmax").fit(0.001, tolerance=TIGHT)
    standard = StandardScaler().fit_transform(values.astype(np.float64))
    oracle = LogisticRegression(C=1 / (8 * 0.001), tol=1e-10, max_iter=10_000).fit(standard, names)
    weights, _ = standard_weights(model, values)
    assert weights == pytest.approx(oracle.coef_.T, abs=1e-4)


def test_the_way_to_a_penalty_does_not_matter() -> None:
    values = features()
    targets = one_hot(classes(values))
    along, straight = (LinearFit(values.copy(), targets, "softmax") for _ in range(2))
    for l2 in (0.1, 0.01):
        along.fit(l2, tolerance=1e-4)
    for l2 in (0.001, 0.01):
        a = along.fit(l2, tolerance=TIGHT)
        b = straight.fit(l2, tolerance=TIGHT)
        assert a.weights == pytest.approx(b.weights, abs=1e-5)


def test_the_same_rows_give_the_same_bits() -> None:
    values = features()
    targets = one_hot(classes(values))
    a, b = (
        LinearFit(values.copy(), targets, "softmax").fit(0.01, tolerance=1e-5) for _ in range(2)
    )
    assert np.array_equal(a.weights, b.weights)
    assert np.array_equal(a.bias, b.bias)


def test_a_constant_feature_has_no_weight() -> None:
    values = features()
    model = LinearFit(values.copy(), one_hot(classes(values)), "softmax").fit(0.01, tolerance=1e-5)
    assert model.weights[4] == pytest.approx(np.zeros(3), abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_label_of_no_row_or_of_every_row_stays_finite(share: float) -> None:
    values = features()
    targets = np.full((ROWS, 1), share)
    model = LinearFit(values, targets, "sigmoid").fit(0.01, tolerance=1e-5)
    outputs = model(features())
    assert np.isfinite(outputs).all()
    assert ((outputs > 0) == (share == 1)).all()


def test_a_fit_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_models, "_MOST_STEPS", 1)
    values = features()
    fit = LinearFit(values.copy(), one_hot(classes(values)), "softmax")
    assert not fit.fit(0.0001, tolerance=TIGHT).converged


def test_the_largest_of_the_best_penalties_is_chosen() -> None:
    values = features()
    targets = one_hot(classes(values))

    def fit() -> LinearFit:
        return LinearFit(values.copy(), targets, "softmax")

    by_size = best_of(
        fit(), (0.01, 1.0, 0.1), score=lambda m: float(np.abs(m.weights).sum()), tolerance=1e-3
    )
    assert by_size[0] == 0.01
    assert list(by_size[1]) == [1.0, 0.1, 0.01]
    assert best_of(fit(), (0.01, 1.0), score=lambda _: 0.5, tolerance=1e-3)[0] == 1.0
