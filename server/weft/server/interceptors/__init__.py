"""What happens around every RPC, one concern each."""

from weft.server.interceptors._adapter import Call, Concern, InterceptorChain
from weft.server.interceptors.context import RequestContext
from weft.server.interceptors.logs import CallLog

__all__ = ["Call", "CallLog", "Concern", "InterceptorChain", "RequestContext"]
