package config

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Diff returns the objects that differ between two configurations, sorted by reference, and both sides of each in the
// same order. Both must be in the form that Sort gives.
func Diff(a, b *gatehousev1.Config) ([]*gatehousev1.Change, []*gatehousev1.ObjectDiff) {
	before, after := index(a), index(b)
	refs := maps.Clone(before)
	maps.Copy(refs, after)
	var changes []*gatehousev1.Change
	var details []*gatehousev1.ObjectDiff
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		action := compareObjects(before[ref], after[ref])
		if action == gatehousev1.Action_ACTION_UNSPECIFIED {
			continue
		}
		changes = append(changes, &gatehousev1.Change{Object: ref, Action: action})
		details = append(details, &gatehousev1.ObjectDiff{Before: before[ref], After: after[ref]})
	}
	return changes, details
}

// compareObjects says what happened to an object; unspecified means nothing. Configurations share what did not change, so
// most comparisons end with the pointers.
func compareObjects(before, after *gatehousev1.Object) gatehousev1.Action {
	switch {
	case before == nil:
		return gatehousev1.Action_ACTION_CREATED
	case after == nil:
		return gatehousev1.Action_ACTION_DELETED
	case before != after && !proto.Equal(before, after):
		return gatehousev1.Action_ACTION_UPDATED
	}
	return gatehousev1.Action_ACTION_UNSPECIFIED
}
