package rpc

import "net/netip"

// EventKind says what happened to a node.
type EventKind uint8

const (
	// EventListening: both sockets are bound. Comes again after Resume.
	EventListening EventKind = iota + 1
	// EventReady: the first walk to our own id is over, and the firewall was probed
	// if there was reason to.
	EventReady
	// EventPersistent: others reach the node, and its messages carry its id from now.
	EventPersistent
	// EventEphemeral: the node is no longer persistent.
	EventEphemeral
	// EventWakeup: the machine slept, or the node was suspended.
	EventWakeup
	// EventNATUpdate: what other nodes see as our address changed. Event.Addr is what
	// Node.NAT returns.
	EventNATUpdate
	// EventNetworkChange: the addresses of the machine changed.
	EventNetworkChange
	// EventNetworkUpdate: they did, or the node's Health.
	EventNetworkUpdate
	// EventAddNode and EventRemoveNode: the node at Event.Addr came into the routing
	// table, or left it.
	EventAddNode
	EventRemoveNode
	// EventSuspend, EventResume and EventClose: the method of that name did its work.
	EventSuspend
	EventResume
	EventClose
)

// String returns the name that dht-rpc gives the event.
func (k EventKind) String() string {
	names := [...]string{
		EventListening: "listening", EventReady: "ready", EventPersistent: "persistent",
		EventEphemeral: "ephemeral", EventWakeup: "wakeup", EventNATUpdate: "nat-update",
		EventNetworkChange: "network-change", EventNetworkUpdate: "network-update",
		EventAddNode: "add-node", EventRemoveNode: "remove-node",
		EventSuspend: "suspend", EventResume: "resume", EventClose: "close",
	}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return "unknown"
}

// Event is something that happened to a node.
type Event struct {
	Kind EventKind
	Addr netip.AddrPort // for some kinds
}
