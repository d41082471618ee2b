// Package admin serves AdminService: what operators ask of the control plane.
//
// A change is one transaction: load the newest revision, merge, validate, prove by building what a proxy would build,
// commit by compare and swap. Nothing is stored that a proxy would refuse, and nothing is pushed from here: proxies
// learn of a revision through the store.
//
// It refuses what does not validate with every violation at once, a base that is no longer the newest revision, and
// revisions that are not kept any more.
package admin
