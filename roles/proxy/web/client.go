package web

import (
	"net/netip"

	"github.com/sidecar-kit/sidecar/roles/proxy/fields"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Client is who sent a request, for the header policy.
type Client = fields.Client

// Policy decides what becomes of the fields of a message. Both methods append
// a whole head in canonical form, with the framing that the message's Body and
// Length say and the empty line. Chunked is "Transfer-Encoding: chunked";
// Sized is Content-Length; None is Content-Length where Length >= 0; UntilClose
// is neither. A message with Upgrade set gets Upgrade and Connection: upgrade.
// An answer that is closing gets Connection: close.
type Policy interface {
	AppendRequest(dst []byte, r *wire.Request, c *Client) []byte
	AppendResponse(dst []byte, r *wire.Response, c *Client, closing bool) []byte
	// ClientAddr is the address of the client, behind proxies that are trusted.
	ClientAddr(r *wire.Request, peer netip.Addr) netip.Addr
}
