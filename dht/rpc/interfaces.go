package rpc

import (
	"net"
	"net/netip"
)

// Interface is an address of the machine.
type Interface struct {
	Name     string
	Addr     netip.Addr
	Internal bool // loopback
}

// SystemInterfaces returns the addresses that the system has.
func SystemInterfaces() ([]Interface, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []Interface
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			ipNet, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			if ip, ok := netip.AddrFromSlice(ipNet.IP); ok {
				all = append(all, Interface{Name: i.Name, Addr: ip.Unmap(), Internal: i.Flags&net.FlagLoopback != 0})
			}
		}
	}
	return all, nil
}

// localIP chooses the address by which others on the network reach the machine: the
// first IPv4 one that is not internal, but that of en0, which is what computers from
// Cupertino mean by it, if there is one. Without any it is 127.0.0.1.
func localIP(all []Interface) netip.Addr {
	chosen := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	found := false
	for _, i := range all {
		if i.Internal || !i.Addr.Is4() {
			continue
		}
		if i.Name == "en0" {
			return i.Addr
		}
		if !found {
			chosen, found = i.Addr, true
		}
	}
	return chosen
}
