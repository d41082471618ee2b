// Package controlplane is the control plane in one process: operators change the configuration through it, proxies
// follow it. This package only wires; the work is done in the packages below.
//
// The path of an operator's change:
//
//	gwctl apply
//	  → admin.Service.Apply      load the newest revision → config.Merge → config.Validate → config.Resolve (the proof)
//	  → store.Store.Commit       compare and swap: the next revision, or ErrConflict
//	  → publish.Publisher        watches the store; the newest revision becomes one Frame, encoded once
//	  → stream.Service.Follow    one stream a proxy: sends the newest Frame, hears ack or nack
//	  → stream.Fleet             which proxy serves which revision, and why one refused
//	  ← gwctl status, apply --wait
//
// Admin never pushes to stream: a change reaches proxies only through the store's Watch, so a second control plane on a
// shared store works by the same path.
//
// It refuses to listen anywhere but on loopback as long as it knows neither TLS nor who an operator is.
package controlplane
