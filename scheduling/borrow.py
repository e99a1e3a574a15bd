"""Arrays without reference counting inside compiled code.

numba counts a reference, atomically, whenever an array or a tuple of arrays is handed to a function; in a search whose
steps take a few dozen nanoseconds that is half the time. A borrowed array is the same memory without an owner: nothing
is counted. Whoever calls the compiled function has to keep the owner alive until it returns; arguments that come from
Python are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from numba.core import cgutils, types
from numba.extending import intrinsic

T = TypeVar("T")

if TYPE_CHECKING:

    def borrow(value: T) -> T:
        """The same array, or a tuple with the same arrays, owned by nobody."""

else:

    @intrinsic
    def borrow(typingctx: Any, value: Any) -> Any:
        """The same array, or a tuple with the same arrays, owned by nobody."""

        def strip(context: Any, builder: Any, kind: Any, item: Any) -> Any:
            if isinstance(kind, types.Array):
                theirs = context.make_array(kind)(context, builder, item)
                ours = context.make_array(kind)(context, builder)
                for name in ("data", "nitems", "itemsize", "shape", "strides"):
                    setattr(ours, name, getattr(theirs, name))
                ours.meminfo = cgutils.get_null_value(ours.meminfo.type)
                ours.parent = cgutils.get_null_value(ours.parent.type)
                return ours._getvalue()
            if isinstance(kind, types.BaseTuple):
                parts = [
                    strip(context, builder, part, builder.extract_value(item, i)) for i, part in enumerate(kind.types)
                ]
                return context.make_tuple(builder, kind, parts)
            return item

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return strip(context, builder, signature.args[0], arguments[0])

        return value(value), codegen
