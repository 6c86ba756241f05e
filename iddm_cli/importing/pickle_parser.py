"""What a PyTorch file says it holds: its pickle, read by a machine that can do nothing else.

A pickle is a program for a stack. Of its instructions this machine knows those that torch.save
writes; of the functions that a pickle may call it knows three by their names, and calls none: a
tensor becomes a note of its shape and place. So nothing in a file can be executed, and what is
built cannot outgrow the instructions, which are counted. Even torch.load(weights_only=True) would
give a file any memory that it asks for: bytearray is among what it allows.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_INSTRUCTIONS = 2**18
MOST_DIMENSIONS = 16

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
"""Names of the kinds of storage; the type of its numbers, and the bytes of each."""


class RefusedError(ValueError):
    """The pickle does what no file of weights has to do."""


@dataclass(frozen=True)
class Name:
    """A function or class that the pickle names."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, in a member of the archive."""

    key: str
    kind: str
    itemsize: int
    count: int


@dataclass(frozen=True)
class Declared:
    """A tensor as the file declares it."""

    storage: Storage
    shape: list[int]


def describe(content: bytes) -> tuple[Any, list[Storage]]:
    """Return what a pickle holds, each tensor as `Declared`, and the storages it refers to.

    Raises:
        RefusedError: It is no pickle that torch.save would write of weights, numbers and texts.
    """
    machine = _Machine()
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(content)):
            if number > MOST_INSTRUCTIONS:
                raise RefusedError("it is far too long")
            if instruction.name == "STOP":
                return machine.pop(), machine.storages
            machine.do(instruction.name, argument)
    except RefusedError:
        raise
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RefusedError("it is malformed") from error
    raise RefusedError("it has no end")


MARK = Name("mark")
ORDERED_DICT = Name("collections OrderedDict")
TENSOR = Name("torch._utils _rebuild_tensor_v2")
PARAMETER = Name("torch._utils _rebuild_parameter")
CALLABLE = (ORDERED_DICT, TENSOR, PARAMETER)
KNOWN = (*(name.text for name in CALLABLE), *STORAGES)
VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack, the memory, and a method for each instruction that has one."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: list[Storage] = []
        self.methods: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "MARK": lambda _: self.stack.append(MARK),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "TUPLE": lambda _: self.stack.append(tuple(self.pop_to_mark())),
            "BINPUT": self.put,
            "LONG_BINPUT": self.put,
            "BINGET": lambda index: self.stack.append(self.memo[index]),
            "LONG_BINGET": lambda index: self.stack.append(self.memo[index]),
            "SETITEM": lambda _: self.set_items([self.pop(), self.pop()][::-1]),
            "SETITEMS": lambda _: self.set_items(self.pop_to_mark()),
            "APPEND": lambda _: self.append_all([self.pop()]),
            "APPENDS": lambda _: self.append_all(self.pop_to_mark()),
            "GLOBAL": self.name,
            "BINPERSID": lambda _: self.refer(self.pop()),
            "REDUCE": lambda _: self.call(self.pop(), self.pop()),
            "BUILD": lambda _: self.attributes(self.pop()),
        }

    def do(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction."""
        if instruction in VALUES:
            self.stack.append(argument)
        elif instruction in CONSTANTS:
            self.stack.append(CONSTANTS[instruction])
        elif instruction in TUPLES:
            self.stack.append(tuple(self.pop() for _ in range(TUPLES[instruction]))[::-1])
        elif instruction in self.methods:
            self.methods[instruction](argument)
        else:
            raise RefusedError(f"it uses the instruction {instruction}")

    def pop(self) -> Any:
        """Take the top of the stack."""
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take all above the last mark, and the mark."""
        taken = []
        while (top := self.stack.pop()) is not MARK:
            taken.append(top)
        return taken[::-1]

    def put(self, index: int) -> None:
        """Remember the top of the stack."""
        self.memo[index] = self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        """Put keys and values into the dictionary on top."""
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            counts = type(key) is int and 0 <= key < MOST_INSTRUCTIONS
            if type(target) is not dict or not (counts or type(key) is str):
                raise RefusedError(
                    "it has a dictionary whose keys are neither texts nor small numbers"
                )
            target[key] = value

    def append_all(self, items: list[Any]) -> None:
        """Put items at the end of the list on top."""
        if type(self.stack[-1]) is not list:
            raise RefusedError("it is malformed")
        self.stack[-1].extend(items)

    def name(self, text: str) -> None:
        """Name a function or class, one of the few that weights need."""
        if text not in KNOWN:
            raise RefusedError(f"it asks for {text[:60]!r}, which is no part of weights")
        self.stack.append(Name(text))

    def refer(self, reference: Any) -> None:
        """Refer to numbers in the archive."""
        word, kind, key, _place, count = reference
        wrong = type(kind) is not Name or type(key) is not str or type(count) is not int
        if wrong or word != "storage" or count < 0:
            raise RefusedError("it refers to what is no storage")
        storage = Storage(key, *STORAGES[kind.text], count)
        self.storages.append(storage)
        self.stack.append(storage)

    def call(self, arguments: Any, function: Any) -> None:
        """Note what a call would make."""
        if function not in CALLABLE or type(arguments) is not tuple:
            raise RefusedError("it calls what is no function of weights")
        if function == ORDERED_DICT:
            if arguments:
                raise RefusedError("it fills a dictionary in an unusual way")
            self.stack.append({})
        elif function == PARAMETER:
            self.stack.append(_as_declared(arguments[0]))
        else:
            self.stack.append(_declared(*arguments))

    def attributes(self, given: Any) -> None:
        """Leave out the attributes of a dictionary: the versions of a state dict's modules."""
        if type(self.stack[-1]) is not dict or type(given) is not dict:
            raise RefusedError("it changes what is no dictionary")


def _as_declared(thing: Any) -> Declared:
    if not isinstance(thing, Declared):
        raise RefusedError("it makes a parameter of what is no tensor")
    return thing


def _declared(
    storage: Any, offset: Any, shape: Any, strides: Any, _gradient: Any, _hooks: Any
) -> Declared:
    """Note a tensor, if its storage has room for it: each element in a place of its own."""
    numbers = [offset, *shape, *strides]
    if not isinstance(storage, Storage) or len(shape) != len(strides):
        raise RefusedError("it makes a tensor of what is no storage")
    if len(shape) > MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in numbers):
        raise RefusedError("it has a tensor with a shape that none can have")
    count, last = 1, offset
    for length, stride in zip(shape, strides, strict=True):
        count *= length
        last += (length - 1) * stride
    if count and (count > storage.count or last >= storage.count):
        raise RefusedError("it has a tensor larger than what is stored for it")
    return Declared(storage, list(shape))
