"""What SQL alone does badly: the key is the shop's, and no database may see it.

The same address is sealed to the same text, so that a unique constraint keeps its meaning. A stand-in for your own key service: the way
it is called is the example, not the cryptography.
"""

import hmac

PREFIX = "sealed:"
NONCE_BYTES = 16


def seal(key: bytes, email: str) -> str:
    plain = email.encode()
    nonce = _mac(key, b"nonce", plain)[:NONCE_BYTES]
    return PREFIX + (nonce + _mixed(key, nonce, plain)).hex()


def unseal(key: bytes, sealed: str) -> str:
    whole = bytes.fromhex(sealed.removeprefix(PREFIX))
    nonce, mixed = whole[:NONCE_BYTES], whole[NONCE_BYTES:]
    plain = _mixed(key, nonce, mixed)
    if not hmac.compare_digest(nonce, _mac(key, b"nonce", plain)[:NONCE_BYTES]):
        raise ValueError("an address was sealed with another key, or changed since")
    return plain.decode()


def _mixed(key: bytes, nonce: bytes, text: bytes) -> bytes:
    stream = b""
    while len(stream) < len(text):
        stream += _mac(key, b"stream", nonce + len(stream).to_bytes(4, "big"))
    return bytes(one ^ other for one, other in zip(text, stream))


def _mac(key: bytes, purpose: bytes, text: bytes) -> bytes:
    return hmac.digest(key, purpose + b"\0" + text, "sha256")
