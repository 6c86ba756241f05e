"""Parse the pickle of a PyTorch file without executing it.

A pickle is a program for a stack machine. This interpreter knows the opcodes that torch.save
writes; of the functions that a pickle may call, it knows three by name and calls none: a tensor
becomes a DeclaredTensor with its shape and storage. So a file cannot execute anything, and the
result cannot outgrow the number of opcodes, which is bounded. Even torch.load(weights_only=True)
allows a file to allocate any amount of memory, since it allows bytearray.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_OPCODES = 2**18
MAX_DIMENSIONS = 16

STORAGES = {
    "torch DoubleStorage": ("float64", 8),
    "torch FloatStorage": ("float32", 4),
    "torch HalfStorage": ("float16", 2),
    "torch BFloat16Storage": ("bfloat16", 2),
    "torch LongStorage": ("int64", 8),
    "torch IntStorage": ("int32", 4),
    "torch ShortStorage": ("int16", 2),
    "torch CharStorage": ("int8", 1),
    "torch ByteStorage": ("uint8", 1),
    "torch BoolStorage": ("bool", 1),
}
"""The element type of each storage class, and its size in bytes."""


class RefusedError(ValueError):
    """The pickle does something that a file of weights does not need."""


@dataclass(frozen=True)
class GlobalName:
    """A function or class that the pickle refers to."""

    text: str


@dataclass(frozen=True)
class DeclaredStorage:
    """A tensor storage: a member of the archive with `count` elements."""

    key: str
    kind: str
    itemsize: int
    count: int


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor as the file declares it."""

    storage: DeclaredStorage
    shape: list[int]


def parse_pickle(content: bytes) -> tuple[Any, list[DeclaredStorage]]:
    """Return the content of a pickle, each tensor as `DeclaredTensor`, and its storages.

    Raises:
        RefusedError: torch.save would not write such a pickle for weights, numbers and strings.
    """
    machine = _PickleMachine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number > MAX_OPCODES:
                raise RefusedError("its pickle is too long")
            if opcode.name == "STOP":
                return machine.pop(), machine.storages
            machine.execute(opcode.name, argument)
    except RefusedError:
        raise
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RefusedError("its pickle is malformed") from error
    raise RefusedError("its pickle has no end")


MARK = GlobalName("mark")
ORDERED_DICT = GlobalName("collections OrderedDict")
TENSOR = GlobalName("torch._utils _rebuild_tensor_v2")
PARAMETER = GlobalName("torch._utils _rebuild_parameter")
CALLABLE = (ORDERED_DICT, TENSOR, PARAMETER)
KNOWN_GLOBALS = (*(name.text for name in CALLABLE), *STORAGES)
VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _PickleMachine:
    """The stack, the memo, and a method for each opcode that is not a constant."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: list[DeclaredStorage] = []
        self.methods: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "MARK": lambda _: self.stack.append(MARK),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "TUPLE": lambda _: self.stack.append(tuple(self.pop_to_mark())),
            "BINPUT": self.memoize,
            "LONG_BINPUT": self.memoize,
            "BINGET": lambda index: self.stack.append(self.memo[index]),
            "LONG_BINGET": lambda index: self.stack.append(self.memo[index]),
            "SETITEM": lambda _: self.set_items([self.pop(), self.pop()][::-1]),
            "SETITEMS": lambda _: self.set_items(self.pop_to_mark()),
            "APPEND": lambda _: self.append_all([self.pop()]),
            "APPENDS": lambda _: self.append_all(self.pop_to_mark()),
            "GLOBAL": self.push_global,
            "BINPERSID": lambda _: self.push_storage(self.pop()),
            "REDUCE": lambda _: self.call(self.pop(), self.pop()),
            "BUILD": lambda _: self.ignore_attributes(self.pop()),
        }

    def execute(self, opcode: str, argument: Any) -> None:
        """Execute one opcode."""
        if opcode in VALUES:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in TUPLES:
            self.stack.append(tuple(self.pop() for _ in range(TUPLES[opcode]))[::-1])
        elif opcode in self.methods:
            self.methods[opcode](argument)
        else:
            raise RefusedError(f"its pickle uses the opcode {opcode}")

    def pop(self) -> Any:
        """Pop the top of the stack."""
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Pop everything above the last mark, and the mark."""
        taken = []
        while (top := self.stack.pop()) is not MARK:
            taken.append(top)
        return taken[::-1]

    def memoize(self, index: int) -> None:
        """Store the top of the stack in the memo."""
        self.memo[index] = self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        """Add keys and values to the dictionary on top."""
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            is_index = type(key) is int and 0 <= key < MAX_OPCODES
            if type(target) is not dict or not (is_index or type(key) is str):
                raise RefusedError(
                    "its pickle has a dictionary with keys that are not strings or small integers"
                )
            target[key] = value

    def append_all(self, items: list[Any]) -> None:
        """Append items to the list on top."""
        if type(self.stack[-1]) is not list:
            raise RefusedError("its pickle is malformed")
        self.stack[-1].extend(items)

    def push_global(self, text: str) -> None:
        """Push a function or class, one of the few that weights need."""
        if text not in KNOWN_GLOBALS:
            raise RefusedError(f"its pickle refers to {text[:60]!r}, which weights do not need")
        self.stack.append(GlobalName(text))

    def push_storage(self, reference: Any) -> None:
        """Push a storage of the archive."""
        tag, kind, key, _location, count = reference
        invalid = type(kind) is not GlobalName or type(key) is not str or type(count) is not int
        if invalid or tag != "storage" or count < 0:
            raise RefusedError("its pickle refers to an invalid storage")
        storage = DeclaredStorage(key, *STORAGES[kind.text], count)
        self.storages.append(storage)
        self.stack.append(storage)

    def call(self, arguments: Any, function: Any) -> None:
        """Push the result that a call would have."""
        if function not in CALLABLE or type(arguments) is not tuple:
            raise RefusedError("its pickle calls a function that weights do not need")
        if function == ORDERED_DICT:
            if arguments:
                raise RefusedError("its pickle fills a dictionary in an unusual way")
            self.stack.append({})
        elif function == PARAMETER:
            self.stack.append(_check_declared(arguments[0]))
        else:
            self.stack.append(_declare_tensor(*arguments))

    def ignore_attributes(self, given: Any) -> None:
        """Ignore the attributes of a dictionary: the module versions of a state dict."""
        if type(self.stack[-1]) is not dict or type(given) is not dict:
            raise RefusedError("its pickle changes an object that is not a dictionary")


def _check_declared(thing: Any) -> DeclaredTensor:
    if not isinstance(thing, DeclaredTensor):
        raise RefusedError("its pickle makes a parameter of something that is not a tensor")
    return thing


def _declare_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _gradient: Any, _hooks: Any
) -> DeclaredTensor:
    """Return a tensor, after checking that its storage has room for every element."""
    numbers = [offset, *shape, *strides]
    if not isinstance(storage, DeclaredStorage) or len(shape) != len(strides):
        raise RefusedError("its pickle makes a tensor of something that is not a storage")
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in numbers):
        raise RefusedError("its pickle has a tensor with an impossible shape")
    count, last = 1, offset
    for length, stride in zip(shape, strides, strict=True):
        count *= length
        last += (length - 1) * stride
    if count and (count > storage.count or last >= storage.count):
        raise RefusedError("its pickle has a tensor larger than its storage")
    return DeclaredTensor(storage, list(shape))
