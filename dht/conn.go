package dht

import (
	"fmt"
	"time"

	"github.com/cairn-feeds/cairn/dht/secretstream"
	"github.com/cairn-feeds/cairn/dht/udx"
)

// Conn is a connection to a peer: a secret stream, and so a net.Conn, whose other end
// has proven to hold RemotePublicKey. HandshakeHash is the same at both ends.
//
// The two directions end on their own: a side that has read io.EOF may still write,
// and the connection is over when both have ended.
type Conn struct {
	*secretstream.Conn
	stream *udx.Stream
}

// newConn starts the secret stream of a raw stream that knows its remote.
func newConn(stream *udx.Stream, initiator bool, keys *secretstream.Keys, keepAlive time.Duration) (*Conn, error) {
	c, err := secretstream.New(stream, initiator, &secretstream.Options{Keys: keys, KeepAlive: keepAlive})
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	return &Conn{c, stream}, nil
}

// PublicKey returns our public key of the connection.
func (c *Conn) PublicKey() PublicKey { return PublicKey(c.Conn.PublicKey()) }

// RemotePublicKey returns the public key of the peer.
func (c *Conn) RemotePublicKey() PublicKey { return PublicKey(c.Conn.RemotePublicKey()) }

// Stream returns the raw stream below: what its packets do, and whether it is over.
// Reading or writing it breaks the connection.
func (c *Conn) Stream() *udx.Stream { return c.stream }

// NewRawStream makes a stream that is not encrypted, to go along with a connection:
// both sides make one, tell each other its ID through the connection, and call
// ConnectRaw.
func (n *Node) NewRawStream(o *udx.StreamOptions) (*udx.Stream, error) { return n.mux.NewStream(o) }

// ConnectRaw connects a raw stream of the same node with the one of the peer that has
// an id. Its packets take the way of the connection. The error is ErrNotConnected if
// that has none any more.
func (c *Conn) ConnectRaw(s *udx.Stream, remoteID uint32) error {
	via := c.stream.Socket()
	select {
	case <-c.stream.Done():
		via = nil
	default:
	}
	if via == nil {
		return ErrNotConnected
	}
	return s.Connect(via, udx.Remote{ID: remoteID, Addr: c.stream.Remote().Addr})
}
