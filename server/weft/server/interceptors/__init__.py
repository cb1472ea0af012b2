"""What happens around every RPC, one concern each."""

from weft.mesh.serving import Call, Concern
from weft.server.interceptors.chain import ServerChain
from weft.server.interceptors.context import RequestContext
from weft.server.interceptors.logs import CallLog

__all__ = ["Call", "CallLog", "Concern", "RequestContext", "ServerChain"]
