// Package order sorts what is short or sorted seldom. slices.SortFunc and slices.SortStableFunc are compiled again for each
// type of elements, 7 to 20 KB each; this is some hundred bytes a type and takes three times as long (docs/decisions/0262). Lists that grow with
// the work (objects of a pack, files of a tree) stay with slices. Used by roles and by tlsconf.
package order

import "sort"

// Sort puts list into the order of compare, which is that of slices.SortFunc. Equal elements stay in their order.
func Sort[E any](list []E, compare func(a, b E) int) {
	sort.SliceStable(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}
