"""A training epoch of the default heads: the encoder in the loop, packed sequences, and ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from benchmarks.corpora import PARAMS, default_encoder, default_examples
from benchmarks.measure import ROUNDS, Bar, interleaved, peak_flops, report, table
from pipeline.core.environment import flush_denormals, keep_freed_memory, use_threads
from pipeline.core.files import sha256_file
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import TEXTS, read_labels, read_texts
from pipeline.corpus.texts import Text
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.reader import open_features
from pipeline.heads.model import Head
from pipeline.heads.scoring import logits_of
from pipeline.heads.settings import HeadSettings
from pipeline.ingest.prepare import prepare
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_labels, write_texts
from pipeline.tasks.dataset import Split, build_dataset
from pipeline.tasks.label_type import IGNORE, LabelType
from pipeline.training.loop import train
from pipeline.training.states import MappedStates

CPU = torch.device("cpu")
MAX_LENGTH = 512


@dataclass(frozen=True)
class Work:
    """What all contestants train on.

    Attributes:
        settings: of the head.
        names: its labels.
        split: the examples, all of them for training.
        states: their cached states.
        rows: their tokens, example by example.
        width: of the encoder.
    """

    settings: HeadSettings
    label_type: LabelType
    names: list[str]
    split: Split
    states: MappedStates
    rows: Sequence[TokenisedRow]
    width: int

    @property
    def tokens(self) -> int:
        """Tokens of an epoch."""
        return int(self.split.lengths.sum())


def main() -> None:
    """Prints tokens per second of each contestant, on tweets and on whole news, and the bars."""
    flush_denormals()
    use_threads()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        tweets = make_work(folder / "tweets", encoder, head="tweet_entities", examples=320)
        news = make_work(folder / "news", encoder, head="news_topic", examples=96)
        on_tweets = compare(tweets, encoder, "the tagger on tweets")
        on_news = compare(news, encoder, "the classifier on whole news")
    peak = peak_flops()
    share = 3 * _forward_flops(tweets) / on_tweets["ours"] / peak
    print(f"matrix products reach {peak / 1e9:.0f} GFLOP/s")
    report(
        "epoch",
        {
            "loop_tweets": Bar(on_tweets["encoder in the loop"] / on_tweets["ours"], 15),
            "loop_news": Bar(on_news["encoder in the loop"] / on_news["ours"], 25),
            "packed_tweets": Bar(on_tweets["packed sequences"] / on_tweets["ours"], 2.5),
            "packed_news": Bar(on_news["packed sequences"] / on_news["ours"], 7),
            "matmul_peak": Bar(share, 0.55),
        },
    )


def make_work(folder: Path, encoder: Path, *, head: str, examples: int) -> Work:
    """Extracts the first rows of a default corpus that fit a window, and reads a head of it."""
    params = ParamsFile(PARAMS)
    settings = params.section(HeadSettings, "heads", head)
    corpus = params.section(CorpusSettings, "corpora", settings.corpus)
    tokenizer = RowTokenizer(encoder, max_length=MAX_LENGTH)
    read = default_examples(settings.corpus)
    rows = tokenizer([example.text for example in read])
    fitting = [e for e, row in zip(read, rows, strict=True) if row.full_length <= MAX_LENGTH]
    prepared = prepare(fitting[:examples], corpus)
    write_labels(folder / "labels", prepared, texts_sha256=write_texts(folder / "texts", prepared))
    row = params.section(FeaturesSettings, "features", settings.features)
    extract(
        lambda: read_texts(folder / "texts"),
        texts_sha256=sha256_file(folder / "texts" / TEXTS),
        encoder_folder=encoder,
        settings=row.model_copy(update={"max_length": MAX_LENGTH, "layers": (-1,)}),
        store_root=folder / "store",
        project=folder,
        out=folder / "features",
    )
    features = open_features(folder / "features")
    labels = read_labels(folder / "labels", settings.label)
    label_type = settings.label_type(labels.kind)
    data = build_dataset(labels, features, label_type)
    texts: dict[str, Text] = dict(read_texts(folder / "texts"))
    split = data.splits["train"]
    return Work(
        settings=settings,
        label_type=label_type,
        names=data.names,
        split=split,
        states=MappedStates(features, [features.manifest.depth]),
        rows=tokenizer([texts[example] for example in split.ids]),
        width=features.width,
    )


def compare(
    work: Work, encoder: Path, title: str, *, with_packed: bool = True, rounds: int = ROUNDS
) -> dict[str, float]:
    """Seconds of an epoch, by contestant."""
    peer = PlainHead(work)
    cached = _cached(work)
    _same_loss(work, peer, cached)
    contestants: dict[str, Callable[[], object]] = {
        "encoder in the loop": encoder_in_the_loop(work, peer, encoder)
    }
    if with_packed:
        contestants["packed sequences"] = lambda: _epoch(work, peer, _from_cache(cached))
    seconds = interleaved(contestants | {"ours": lambda: _ours(work)}, rounds=rounds)
    rates = {name: work.tokens / value for name, value in seconds.items()}
    table(f"{title}, an epoch of {work.tokens} tokens", rates, "tokens/s")
    return seconds


class PlainHead(nn.Module):
    """The same head as anyone would write it: ``nn.LSTM`` over packed sequences, a linear layer."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        settings = work.settings.recurrent
        self.on_words = work.settings.on_words
        self.lstm = nn.LSTM(
            work.width,
            settings.hidden_size,
            settings.num_layers,
            bidirectional=settings.bidirectional,
            batch_first=True,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.hidden_size * 2, len(work.names))

    def forward(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """(batch, labels) or (batch, tokens, labels) from (batch, tokens, width)."""
        packed = pack_padded_sequence(
            states, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        outputs, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        outputs = self.dropout(outputs)
        return self.output(outputs if self.on_words else outputs[:, 0])  # type: ignore[no-any-return]


States = Callable[[Sequence[int]], Tensor]
"""(batch, tokens, width) padded states of some examples."""


def _epoch(work: Work, peer: PlainHead, states: States) -> None:
    """Shuffled batches, AdamW, clipping: a plain training loop."""
    training = work.settings.training
    optimizer = torch.optim.AdamW(peer.parameters(), lr=training.learning_rate)
    peer.train()
    order = np.random.default_rng(0).permutation(len(work.split)).tolist()
    for begin in range(0, len(order), training.batch_size):
        members = order[begin : begin + training.batch_size]
        loss = _plain_loss(work, peer, states(members), members)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(peer.parameters(), training.gradient_clip)
        optimizer.step()


def _plain_loss(work: Work, peer: PlainHead, states: Tensor, members: Sequence[int]) -> Tensor:
    logits = peer(states, [int(work.split.lengths[member]) for member in members])
    if not work.settings.on_words:
        targets = torch.tensor([int(work.split.targets[member][0]) for member in members])
        return F.cross_entropy(logits, targets)
    targets = torch.full(logits.shape[:2], IGNORE)
    for row, member in enumerate(members):
        words = (work.split.words or [])[member]
        places = torch.from_numpy(words.first[words.with_token])
        targets[row, places] = torch.from_numpy(work.split.targets[member]).long()
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


def _cached(work: Work) -> list[Tensor]:
    """The states of every example in memory, as float32 tensors."""
    return [work.states.read(work.split.rows[[n]]).clone() for n in range(len(work.split))]


def _from_cache(cached: Sequence[Tensor]) -> States:
    return lambda members: pad_sequence([cached[member] for member in members], batch_first=True)


def encoder_in_the_loop(work: Work, peer: PlainHead, encoder: Path) -> Callable[[], None]:
    """An epoch as a plain script trains: the encoder, frozen, runs on every batch."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder, local_files_only=True).eval()

    @torch.no_grad()
    def states(members: Sequence[int]) -> Tensor:
        rows = [work.rows[member] for member in members]
        ids = pad_sequence(
            [torch.from_numpy(row.input_ids.astype(np.int64)) for row in rows], batch_first=True
        )
        lengths = torch.tensor([row.length for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        return model(ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]

    return lambda: _epoch(work, peer, states)


def _ours(work: Work) -> None:
    """Our loop, with one example in place of a dev split."""
    one = np.array([0])
    dev = Split(
        rows=work.split.rows[one],
        lengths=work.split.lengths[one],
        words=None if work.split.words is None else [work.split.words[0]],
        ids=work.split.ids[:1],
        targets=work.split.targets[:1],
        gold=work.split.gold[:1],
    )
    train(
        _our_head(work),
        work.states,
        train_split=work.split,
        dev_split=dev,
        dev_score=len,
        settings=work.settings.training.model_copy(update={"epochs": 1}),
        seed=0,
        device=CPU,
        report=repr,
    )


def _our_head(work: Work) -> Head:
    torch.manual_seed(0)
    return Head.build(work.settings, work.label_type, work.names, width=work.width)


def _same_loss(work: Work, peer: PlainHead, cached: Sequence[Tensor]) -> None:
    """Stops unless all give a batch the same loss, with the same weights."""
    ours = _our_head(work).eval()
    peer.eval()
    peer.lstm.load_state_dict(ours.recurrent.state_dict())
    peer.output.load_state_dict(ours.output.state_dict())
    members = np.arange(min(32, len(work.split)))
    logits, words = logits_of(ours, work.states, work.split, members, CPU)
    values = np.concatenate([work.split.targets[int(n)] for n in members])
    targets = ours.targets(values, words, CPU)
    total, count = ours.loss(logits, targets), ours.loss_weight(targets)
    expected = _plain_loss(work, peer, _from_cache(cached)(members.tolist()), members.tolist())
    difference = abs(total.item() / count - expected.item())
    print(f"largest difference of the loss: {difference:.1e}")
    if difference > 1e-4:
        raise SystemExit("the contestants do not compute the same thing")


def _forward_flops(work: Work) -> float:
    """Multiplications and additions of the recurrent network's products over an epoch.

    At every token, in both directions of every layer: with its input and with its state.
    """
    settings = work.settings.recurrent
    hidden, directions = settings.hidden_size, 2 if settings.bidirectional else 1
    gates = (4 if settings.cell == "lstm" else 3) * hidden
    widths = [work.width, *[hidden * directions] * (settings.num_layers - 1)]
    per_token = sum(2 * directions * gates * (width + hidden) for width in widths)
    return float(per_token * work.tokens)


if __name__ == "__main__":
    main()
