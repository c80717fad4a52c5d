"""Arrange a request's checked tensors as the columns of the model's signature.

Raises BadInput where names, datatypes or shapes are not those of the signature. The front and the
worker both load this file; it needs the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .signature import Side, Tensor

Arranged = tuple[dict[str, Any], list[bytes]]
"""A head and its buffers, as tensors.pack takes them."""


class BadInput(ValueError):  # noqa: N818 - it is an answer: a 400
    """The request is invalid; the message names the tensor and the expectation."""


class Sent(NamedTuple):
    """A tensor of a request, valid on its own."""

    name: str
    datatype: str
    shape: list[int]
    buffer: bytes


def _head(form: str, names: list[str] | None, sent: list[Sent], encoded: set[str]) -> Arranged:
    columns = [
        {"name": s.name, "datatype": s.datatype, "shape": s.shape, "base64": s.name in encoded}
        for s in sent
    ]
    return {"form": form, "names": names, "columns": columns}, [each.buffer for each in sent]


def arrange(sent: list[Sent], inputs: Side | None) -> Arranged:
    """Return head and buffers in the order and form of the model's signature."""
    if inputs is None:
        flat = all(len(each.shape) == 1 or each.shape[1:] == [1] for each in sent)
        form = "array" if len(sent) == 1 else "frame" if flat else "dict"
        return _head(
            form,
            [each.name for each in sent],
            _equal_length(sent) if form == "frame" else sent,
            set(),
        )
    for tensor in inputs.tensors:
        if tensor.unsupported:
            why = f"is of type {tensor.unsupported}, which this protocol cannot carry"
            raise BadInput(f"input '{tensor.name}' {why}: use /invocations")
    if inputs.columns:
        return _as_columns(sent, inputs)
    if not inputs.named:
        if len(sent) != 1:
            raise BadInput(f"expected one tensor, {inputs.tensors[0].wanted()}, got {len(sent)}")
        _check(sent[0], inputs.tensors[0], widened=False)
        return _head("array", None, sent, set())
    matched = _matched(sent, inputs.tensors)
    for each, tensor in matched:
        _check(each, tensor, widened=False)
    chosen = [each for each, _ in matched]
    return _head("dict", [each.name for each in chosen], chosen, set())


def _as_columns(sent: list[Sent], inputs: Side) -> Arranged:
    names = [tensor.name for tensor in inputs.tensors]
    if len(sent) == 1 and len(sent[0].shape) == 2 and (len(names) > 1 or sent[0].name not in names):
        whole = sent[0]
        if whole.shape[1] != len(names):
            expected = f"{len(names)} columns ({', '.join(names)})"
            raise BadInput(f"input '{whole.name}': expected {expected}, got {whole.shape[1]}")
        for tensor in inputs.tensors:
            if not tensor.takes(whole.datatype, widened=True) or tensor.base64:
                raise BadInput(
                    f"column '{tensor.name}': expected {tensor.datatype}, got {whole.datatype}"
                )
        return _head("frame", names if inputs.named else None, sent, set())
    matched = _matched(sent, inputs.tensors)
    for each, tensor in matched:
        _check(each, tensor, widened=True)
    chosen = _equal_length([each for each, _ in matched])
    encoded = {tensor.name for _, tensor in matched if tensor.base64}
    shown = [each.name for each in chosen] if inputs.named else None
    return _head("frame", shown, chosen, encoded)


def _equal_length(sent: list[Sent]) -> list[Sent]:
    """Return columns of one length, each of one dimension."""
    rows = sent[0].shape[0]
    for each in sent:
        if each.shape[0] != rows:
            raise BadInput(
                f"input '{each.name}' has {each.shape[0]} rows, but '{sent[0].name}' has {rows}"
            )
    return [each._replace(shape=[rows]) for each in sent]


def _matched(sent: list[Sent], expected: tuple[Tensor, ...]) -> list[tuple[Sent, Tensor]]:
    """Return (sent, expected) in the signature's order.

    Raises:
        BadInput: an input is missing, or unknown.
    """
    by_name = {each.name: each for each in sent}
    known = {tensor.name for tensor in expected}
    for tensor in expected:
        if tensor.required and tensor.name not in by_name:
            raise BadInput(f"input '{tensor.name}' is missing: expected {tensor.wanted()}")
    for name in by_name:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise BadInput(f"input '{name}' is not one of the model's inputs: {listed}")
    return [(by_name[t.name], t) for t in expected if t.name in by_name]


def _check(sent: Sent, tensor: Tensor, *, widened: bool) -> None:
    if not tensor.takes(sent.datatype, widened=widened):
        raise BadInput(f"input '{sent.name}': expected {tensor.datatype}, got {sent.datatype}")
    shape = sent.shape
    if widened and len(shape) == 1:
        return
    fits = len(shape) == len(tensor.shape) and all(
        want in (-1, have) for have, want in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        raise BadInput(f"input '{sent.name}': expected shape {list(tensor.shape)}, got {shape}")
