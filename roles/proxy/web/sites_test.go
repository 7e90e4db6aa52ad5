package web

import "testing"

// TestPathsOfOtherRoutesAreRefused: a server that resolves escapes would serve what another route is for.
func TestPathsOfOtherRoutesAreRefused(t *testing.T) {
	all, admin, group := &Route{}, &Route{}, &Route{}
	s := NewSites([]Site{{Route: all}, {Path: "/admin", Route: admin}, {Path: "/p/group", Route: group}})
	tests := []struct {
		target string
		route  *Route // nil: refused
	}{
		{"/", all},
		{"/admin/x", admin},
		{"/admins", all},
		{"/%61dmin", nil},
		{"/%61dmin/x?y", nil},
		{"/admin%2fx", nil},
		{"//admin", nil},
		{"/\\admin", nil},
		{"/admin;a=b/x", nil},
		{"/x;/..;/admin", nil},
		{"/admin/%61//b;c", admin},
		{"/p/group/a%2fb", group},
		{"/p/%7Euser/a%2Fb//c", all},
		{"/x?/%61dmin//admin", all},
		{"/%zz%6", all},
		{"*", all},
	}
	for _, tt := range tests {
		err := s.Ambiguous([]byte("a"), []byte(tt.target))
		switch {
		case (err == nil) != (tt.route != nil):
			t.Errorf("Ambiguous(%s) = %v", tt.target, err)
		case err == nil && s.Find([]byte("a"), []byte(tt.target)) != tt.route:
			t.Errorf("Find(%s) is not the route of that path", tt.target)
		}
	}
	if err := NewSites([]Site{{Route: all}}).Ambiguous([]byte("a"), []byte("//x/../%61")); err != nil {
		t.Errorf("Ambiguous() = %v where paths decide nothing; want nil", err)
	}
}
