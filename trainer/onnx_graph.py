"""An ONNX graph as it is built: named inputs and outputs, constants in single precision, operators in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

OPSET, IR_VERSION = 17, 8
Values = npt.NDArray[Any]


class Graph:
    """Every method that adds something gives its name, which further ones take."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Values] = {}
        self._inputs: list[tuple[str, tuple[int, ...]]] = []
        self._outputs: list[tuple[str, tuple[int, ...]]] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int]) -> str:
        """A float input."""
        self._inputs.append((name, tuple(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """`value` leaves the graph as `name`."""
        import onnx.helper

        self._nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append((name, tuple(shape)))

    def constant(self, values: Values | Sequence[int]) -> str:
        """Numbers; floats in single precision."""
        array = np.asarray(values)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32)
        name = self._name("constant")
        self._constants[name] = array
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        """An operator; its output, or a list where `outputs` says how many."""
        import onnx.helper

        names = [self._name(kind.lower()) for _ in range(outputs or 1)]
        self._nodes.append(onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names if outputs else names[0]

    def reshape(self, value: str, *shape: int) -> str:
        """`value` in another shape; 0 keeps a dimension, -1 is what is left."""
        reshaped: str = self.op("Reshape", value, self.constant(list(shape)))
        return reshaped

    def part(self, value: str, begin: int, end: int, axis: int) -> str:
        """`value` from `begin` to `end` along `axis`."""
        cut: str = self.op("Slice", value, *(self.constant([number]) for number in (begin, end, axis)))
        return cut

    def turned(self, value: str, *axes: int) -> str:
        """`value` with its axes in another order."""
        turned: str = self.op("Transpose", value, perm=list(axes))
        return turned

    def joined(self, *values: str, axis: int) -> str:
        """`values` one behind the other."""
        joined: str = self.op("Concat", *values, axis=axis)
        return joined

    def linear(self, value: str, weight: Values, bias: Values) -> str:
        """weight (out, in) times `value` (in, frames), plus bias (out,)."""
        product: str = self.op("MatMul", self.constant(weight), value)
        mixed: str = self.op("Add", product, self.constant(bias[:, None]))
        return mixed

    def model(self, facts: dict[str, str]) -> Any:
        """The finished and checked model, with `facts` as its metadata."""
        import onnx
        import onnx.helper
        import onnx.numpy_helper

        def described(named: list[tuple[str, tuple[int, ...]]]) -> list[Any]:
            return [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in named]

        constants = [onnx.numpy_helper.from_array(values, name) for name, values in self._constants.items()]
        graph = onnx.helper.make_graph(
            self._nodes, "buscomp", described(self._inputs), described(self._outputs), constants
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="buscomp"
        )
        onnx.helper.set_model_props(model, facts)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"
