# Every target brings .venv up to date first; that costs some milliseconds when nothing changed.
PYTHON ?= python3
JOB ?= mnist_job/job.toml
HOSTS ?=
HP ?=
LAUNCHER ?=
INSTANCE_TYPE ?=
YES ?=
ANYWAY ?=
FOR ?=
IMAGE ?=
INDEX ?= 0
INPUT ?=
ENDPOINT ?=

BIN := .venv/bin
IMAGES := mnist_job/data/MNIST/raw/t10k-images-idx3-ubyte

.DEFAULT_GOAL := help
.PHONY: help setup data local-train local-serve local-predict local-stop up down cloud-plan cloud-train cloud-push cloud-serve cloud-clean docs test reliability soak moto-tests bench doctor clean environment

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment:
	@$(PYTHON) harness/bootstrap.py

setup: environment ## set up the engine, compose and the image; the other targets do so when needed
	@$(BIN)/harness build

data: environment ## fetch MNIST into mnist_job/data, or unpack it from the folder MNIST_DIR
	@$(BIN)/python mnist_job/prepare_data.py

# The data is that of the default job; a job of your own brings its own.
local-train: environment $(if $(filter mnist_job/job.toml,$(JOB)),data) ## train on local hosts: HOSTS=4 HP="epochs=1 lr=0.02" LAUNCHER=gloo|mpi|toolkit JOB=path
	@$(BIN)/harness train $(JOB) $(if $(HOSTS),--hosts $(HOSTS)) $(if $(HP),--hp "$(HP)") $(if $(LAUNCHER),--launcher $(LAUNCHER))

local-serve: environment ## host the model that was trained last; ENDPOINT=name, here and below, tells several apart
	@$(BIN)/harness serve $(if $(ENDPOINT),--name $(ENDPOINT))

local-predict: environment ## classify a digit with the hosted model: INDEX=7 of the test set, or INPUT=digit.png (or .npy); ENDPOINT=cloud asks the one on AWS
	@$(BIN)/harness invoke $(if $(INPUT),$(INPUT),$(IMAGES) --index $(INDEX)) --shape 1,28,28 $(if $(filter cloud,$(ENDPOINT)),--cloud,$(if $(ENDPOINT),--endpoint $(ENDPOINT)))

local-stop: environment ## stop hosting
	@$(BIN)/harness stop $(ENDPOINT)

up: setup ## start the local AWS door and print the environment that leads there: eval "$$(make up)"
	@$(BIN)/harness up

down: environment ## stop the door and its endpoints
	@$(BIN)/harness down

PROMOTED = $(JOB) $(if $(HOSTS),--hosts $(HOSTS)) $(if $(HP),--hp "$(HP)") $(if $(INSTANCE_TYPE),--instance-type $(INSTANCE_TYPE))

cloud-plan: environment $(if $(filter mnist_job/job.toml,$(JOB)),data) ## show what cloud-train would send to AWS, its cost and obstacles; sends nothing: INSTANCE_TYPE=ml.g4dn.xlarge
	@$(BIN)/harness plan $(PROMOTED)

cloud-train: environment $(if $(filter mnist_job/job.toml,$(JOB)),data) ## train on AWS; costs money, and asks first (YES=1 does not): INSTANCE_TYPE=ml.g4dn.xlarge
	@$(BIN)/harness promote $(PROMOTED) $(if $(YES),--yes) $(if $(ANYWAY),--anyway)

cloud-push: environment ## send IMAGE=my-image:1 (or the image of the hosts) to ECR, for jobs with an image_uri: YES=1
	@$(BIN)/harness push $(IMAGE) $(if $(YES),--yes)

cloud-serve: environment ## host the model that was trained last on AWS; costs money until cloud-clean, and asks: FOR=30m YES=1
	@$(BIN)/harness cloud-serve --job $(JOB) $(if $(INSTANCE_TYPE),--instance-type $(INSTANCE_TYPE)) $(if $(FOR),--for $(FOR)) $(if $(YES),--yes)

cloud-clean: environment ## remove our endpoints from AWS, and list what else costs; safe to run twice
	@$(BIN)/harness cloud-clean

docs: environment ## write the pages anew that are made of code: docs/fidelity.md, docs/testing-reference.md, docs/api.md
	@$(BIN)/python -m harness.environment .tox/shared tests/requirements.txt
	@.tox/shared/bin/python -m docs.fidelity
	@.tox/shared/bin/python -m docs.testing_reference
	@.tox/shared/bin/python -m docs.api

test: environment ## run everything that CI runs
	@$(BIN)/tox

reliability: environment ## run the fault matrix, 30 to 60 minutes, and write docs/reliability.md
	@$(BIN)/python -m benchmarks.reliability --write docs/reliability.md

soak: environment ## run the docker tier ten times in a row; 1 to 2 hours
	@$(BIN)/python -m harness.environment .tox/shared tests/requirements.txt
	@.tox/shared/bin/python -m benchmarks.soak

moto-tests: environment ## hold the door to moto's own tests, which are fetched, and write docs/moto-tests.md
	@$(BIN)/python -m harness.environment .tox/shared tests/requirements.txt
	@.tox/shared/bin/python -m tests.moto --write

bench: environment ## run the benchmarks, side by side with the peers
	@$(BIN)/python -m benchmarks

doctor: environment ## show what is installed and what is missing
	@$(BIN)/harness doctor

clean: environment ## remove what runs have left in the docker engine
	@$(BIN)/harness clean
