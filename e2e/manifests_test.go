package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-kit/sidecar/e2e/kubelet"
)

const manifests = "../deploy"

// The manifests by pattern; each is started for real by a test.
var (
	variants    = []string{"nginx-content/own-names", "nginx-content/git-sync-names", "nginx-content/classic"}
	warVariants = []string{"tomcat-war/payload-image", "tomcat-war/exploded", "tomcat-war/image-volume"}
	everything  = slices.Concat(variants, warVariants)
)

// podSpec is the pod of a variant, whose folder has a Deployment, or a Job if it is called that.
func podSpec(t *testing.T, variant string) (metav1.ObjectMeta, corev1.PodSpec) {
	t.Helper()
	if strings.HasSuffix(variant, "/job") {
		var job batchv1.Job
		readManifest(t, variant+"/job.yaml", &job)
		return job.Spec.Template.ObjectMeta, job.Spec.Template.Spec
	}
	d, err := kubelet.ReadDeployment(filepath.Join(manifests, variant, "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return d.Spec.Template.ObjectMeta, d.Spec.Template.Spec
}

// syncContainer is the name of the long-running sync.
func syncContainer(t *testing.T, variant string) string {
	t.Helper()
	_, spec := podSpec(t, variant)
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.Image == image && c.ReadinessProbe != nil {
			return c.Name
		}
	}
	t.Fatalf("%s has no sync container", variant)
	return ""
}

// restricted checks what the pods of all roles have in common: the restricted standard, a root that cannot be written to, requests and limits, labels, and no
// mount that never follows an edit. Its result is the specification.
func restricted(t *testing.T, evaluator policy.Evaluator, variant string) corev1.PodSpec {
	t.Helper()
	level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	meta, spec := podSpec(t, variant)
	if v := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &meta, &spec)); !v.Allowed {
		t.Errorf("%s: %s", variant, v.ForbiddenDetail())
	}
	// The evaluator bites: without the profile the same pod is refused.
	bare := spec.DeepCopy()
	bare.SecurityContext.SeccompProfile = nil
	if policy.AggregateCheckResults(evaluator.EvaluatePod(level, &meta, bare)).Allowed {
		t.Errorf("%s: allowed without a seccomp profile", variant)
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		checkResources(t, variant, c)
		if sc := c.SecurityContext; sc == nil || sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem {
			t.Errorf("%s %s: the root can be written to", variant, c.Name)
		}
		for _, m := range c.VolumeMounts {
			if m.SubPath != "" {
				t.Errorf("%s %s: a subPath never follows an edit", variant, c.Name)
			}
		}
	}
	for _, key := range []string{"name", "instance", "version", "component", "part-of", "managed-by"} {
		if meta.Labels["app.kubernetes.io/"+key] == "" {
			t.Errorf("%s: label %s is missing", variant, key)
		}
	}
	return spec
}

func TestManifestsPassTheRestrictedStandard(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, variant := range slices.Concat(everything, cronVariants, proxyVariants, logVariants, adapterVariants) {
		spec := restricted(t, evaluator, variant)
		if mounted := spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken; mounted != (variant == "cron/replicas") {
			t.Errorf("%s: the service account's token is mounted: %v; only who asks the API server needs it", variant, mounted)
		}
	}
}

// container is the container of that name, and whether it is an init container.
func container(t *testing.T, variant, name string) (c corev1.Container, init bool) {
	t.Helper()
	_, spec := podSpec(t, variant)
	for i, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			if c.Name == name {
				return c, i == 0
			}
		}
	}
	t.Fatalf("%s has no container named %s", variant, name)
	return c, false
}

func TestManifestsAreDecodedStrictly(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(manifests, "nginx-content/own-names/deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "typo.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), "periodSeconds", "periodSecond", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := kubelet.ReadDeployment(path); err == nil || !strings.Contains(err.Error(), "periodSecond") {
		t.Errorf("err = %v; want the unknown field named", err)
	}
}

func TestManifestsTuneTheSidecar(t *testing.T) {
	for _, variant := range variants {
		_, spec := podSpec(t, variant)
		name := syncContainer(t, variant)
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			if c.Name != name {
				continue
			}
			p := c.StartupProbe
			if p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 30 || p.HTTPGet.Path != "/startupz" {
				t.Errorf("%s: startup probe %+v; want /startupz each second, 30 times", variant, p)
			}
			if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" {
				t.Errorf("%s: probes ask %s and %s", variant, c.ReadinessProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path)
			}
			native := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if native == strings.HasSuffix(variant, "/classic") {
				t.Errorf("%s: restartPolicy Always is %v", variant, native)
			}
		}
	}
}

func checkResources(t *testing.T, variant string, c corev1.Container) {
	t.Helper()
	r := c.Resources
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() {
		t.Errorf("%s %s: no requests", variant, c.Name)
	}
	if !r.Limits.Cpu().IsZero() {
		t.Errorf("%s %s: a CPU limit throttles start-up", variant, c.Name)
	}
	if r.Limits.Memory().Value() != 2*r.Requests.Memory().Value() {
		t.Errorf("%s %s: memory limit %s; want twice the request", variant, c.Name, r.Limits.Memory())
	}
}

func TestManifestsFindTheirPods(t *testing.T) {
	for _, variant := range everything {
		b, err := os.ReadFile(filepath.Join(manifests, filepath.Dir(variant), "service/service.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var service corev1.Service
		if err := yaml.UnmarshalStrict(b, &service); err != nil {
			t.Fatal(err)
		}
		meta, spec := podSpec(t, variant)
		if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(meta.Labels)) {
			t.Errorf("%s: the service does not select %v", variant, meta.Labels)
		}
		for _, key := range []string{"name", "instance", "version", "component", "part-of", "managed-by"} {
			if meta.Labels["app.kubernetes.io/"+key] == "" {
				t.Errorf("%s: label %s is missing", variant, key)
			}
		}
		named := slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
				return p.Name == service.Spec.Ports[0].TargetPort.StrVal
			})
		})
		if !named {
			t.Errorf("%s: no port named %s", variant, service.Spec.Ports[0].TargetPort.StrVal)
		}
	}
}

func TestKustomizationsNameWhatExists(t *testing.T) {
	for _, folder := range append([]string{"nginx-content/service", "tomcat-war/service"}, everything...) {
		b, err := os.ReadFile(filepath.Join(manifests, folder, "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var k struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Resources  []string `json:"resources"`
			Images     []struct {
				Name    string `json:"name"`
				NewName string `json:"newName"`
				NewTag  string `json:"newTag"`
			} `json:"images"`
		}
		if err := yaml.UnmarshalStrict(b, &k); err != nil {
			t.Fatalf("%s: %v", folder, err)
		}
		for _, resource := range k.Resources {
			if _, err := os.Stat(filepath.Join(manifests, folder, resource)); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
	}
}
