package kubelet

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func ptr[T any](v T) *T { return &v }

func TestArgumentsKeepEveryRestriction(t *testing.T) {
	c := corev1.Container{
		Name: "sync", Image: "sidecar:dev", Args: []string{"sync", "--once"},
		Env:          []corev1.EnvVar{{Name: "REPO", Value: "https://example.com"}, {Name: "REF", Value: "main"}},
		VolumeMounts: []corev1.VolumeMount{{Name: "content", MountPath: "/data", ReadOnly: true}},
		SecurityContext: &corev1.SecurityContext{
			ReadOnlyRootFilesystem: ptr(true), AllowPrivilegeEscalation: ptr(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
	}
	p := &Pod{Name: "pod", opts: Options{
		Images: map[string]Image{"sidecar:dev": {Ref: "local:dev"}},
		Env:    map[string]string{"REPO": "http://10.0.0.1/"},
		User:   "12345:0",
	}}
	p.spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr(int64(65532))}
	args, err := p.arguments(c)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(args, " ")
	for _, want := range []string{
		"--network container:pod", "--read-only", "--security-opt no-new-privileges", "--cap-drop ALL", "--user 12345:0",
		"--group-add 65532", "--memory 67108864", "-e REPO=http://10.0.0.1/", "-e REF=main", "-v pod-content:/data:ro",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("arguments %q; want %q among them", got, want)
		}
	}
	if want := []string{"local:dev", "sync", "--once"}; !slices.Equal(args[len(args)-3:], want) {
		t.Errorf("arguments end in %q; want %q", args[len(args)-3:], want)
	}
}

func TestArgumentsRefuseAnImageWithoutAStandIn(t *testing.T) {
	p := &Pod{}
	if _, err := p.arguments(corev1.Container{Name: "app", Image: "example.com/app:1"}); err == nil {
		t.Error("an unknown image was accepted")
	}
}

func TestProbePortsAreFoundByName(t *testing.T) {
	c := corev1.Container{Name: "sync", Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9441}}}
	if got, err := portOf(c, intstr.FromString("metrics")); got != 9441 || err != nil {
		t.Errorf("portOf(metrics) = %d, %v; want 9441", got, err)
	}
	if _, err := portOf(c, intstr.FromString("http")); err == nil {
		t.Error("a port that does not exist was found")
	}
}
