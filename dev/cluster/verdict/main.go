// Verdict reports the status that deployment tools compute for Kubernetes objects, with each tool's own code: kstatus
// (Flux and Helm 4), Flux's health check expressions, and the Lua scripts of Argo CD's resource customizations.
//
// It reads a JSON list of questions from standard input and prints the list of answers. If it cannot answer a question,
// for example because a script fails, it exits with code 1.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A question contains an object as the API server returns it, and the recipes to evaluate on it.
type question struct {
	Object    unstructured.Unstructured    `json:"object"`
	Flux      *kustomize.CustomHealthCheck `json:"flux"`      // an entry of spec.healthCheckExprs of a Kustomization
	Health    string                       `json:"health"`    // Argo CD's health.lua
	Discovery string                       `json:"discovery"` // Argo CD's discovery.lua
	Action    string                       `json:"action"`    // Argo CD's action.lua
}

// An answer contains the requested results, and always the result of kstatus.
type answer struct {
	Kstatus reading  `json:"kstatus"`
	Flux    *reading `json:"flux,omitempty"`
	Argo    *reading `json:"argo,omitempty"`
	Actions any      `json:"actions,omitempty"` // as discovery.lua returned them
	Changed any      `json:"changed,omitempty"` // the object as action.lua returned it
}

type reading struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	var questions []question
	input := json.NewDecoder(os.Stdin)
	input.DisallowUnknownFields() // otherwise a misspelt field of a health check has no effect
	if err := input.Decode(&questions); err != nil {
		fail(err)
	}
	answers := make([]answer, len(questions))
	for i, asked := range questions {
		given, err := asked.answer()
		if err != nil {
			fail(fmt.Errorf("%s %s: %w", asked.Object.GetKind(), asked.Object.GetName(), err))
		}
		answers[i] = given
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "verdict:", err)
	os.Exit(1)
}

func (q question) answer() (given answer, err error) {
	computed, err := status.Compute(&q.Object)
	if err != nil {
		return given, err
	}
	given.Kstatus = reading{computed.Status.String(), computed.Message}
	if q.Flux != nil {
		if given.Flux, err = flux(&q.Object, &q.Flux.HealthCheckExpressions); err != nil {
			return given, err
		}
	}
	if q.Health != "" {
		if given.Argo, err = health(&q.Object, q.Health); err != nil {
			return given, err
		}
	}
	if q.Discovery != "" {
		if given.Actions, err = runLua(&q.Object, q.Discovery); err != nil {
			return given, err
		}
	}
	if q.Action != "" {
		if given.Changed, err = act(&q.Object, q.Action); err != nil {
			return given, err
		}
	}
	return given, nil
}

func flux(object *unstructured.Unstructured, expressions *kustomize.HealthCheckExpressions) (*reading, error) {
	evaluator, err := cel.NewStatusEvaluator(expressions)
	if err != nil {
		return nil, err
	}
	computed, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return nil, err
	}
	return &reading{computed.Status.String(), computed.Message}, nil
}
