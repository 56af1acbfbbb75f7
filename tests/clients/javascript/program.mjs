// Train on two hosts, host what came out, ask it: by the AWS SDK for JavaScript alone.
// Arguments: a name that nobody has, and the files of an archive each: code to train with, and a model to host.
import { readFileSync } from "node:fs";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  CreateTrainingJobCommand,
  DeleteEndpointCommand,
  DescribeTrainingJobCommand,
  SageMakerClient,
  waitUntilEndpointInService,
  waitUntilTrainingJobCompletedOrStopped,
} from "@aws-sdk/client-sagemaker";
import { InvokeEndpointCommand, SageMakerRuntimeClient } from "@aws-sdk/client-sagemaker-runtime";

const [name, code, model] = process.argv.slice(2);
const bucket = `js-${name}`;
const role = "arn:aws:iam::000000000000:role/SageMakerHarness";
const images = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch";
const s3 = new S3Client({});
const sagemaker = new SageMakerClient({});
const runtime = new SageMakerRuntimeClient({});

await s3.send(new CreateBucketCommand({ Bucket: bucket }));
await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "sourcedir.tar.gz", Body: readFileSync(code) }));
await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "model.tar.gz", Body: readFileSync(model) }));

await sagemaker.send(
  new CreateTrainingJobCommand({
    TrainingJobName: name,
    RoleArn: role,
    AlgorithmSpecification: { TrainingImage: `${images}-training:1.12.1-cpu-py38`, TrainingInputMode: "File" },
    HyperParameters: {
      sagemaker_program: "train.py",
      sagemaker_submit_directory: `s3://${bucket}/sourcedir.tar.gz`,
      factor: "6",
    },
    OutputDataConfig: { S3OutputPath: `s3://${bucket}/out` },
    ResourceConfig: { InstanceType: "ml.m5.large", InstanceCount: 2, VolumeSizeInGB: 30 },
    StoppingCondition: { MaxRuntimeInSeconds: 300 },
  }),
);
const patience = { maxWaitTime: 240, minDelay: 1, maxDelay: 2 };
await waitUntilTrainingJobCompletedOrStopped({ client: sagemaker, ...patience }, { TrainingJobName: name });
const job = await sagemaker.send(new DescribeTrainingJobCommand({ TrainingJobName: name }));
console.log("status", job.TrainingJobStatus);
const key = job.ModelArtifacts.S3ModelArtifacts.replace(`s3://${bucket}/`, "");
const archive = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
console.log("model", (await archive.Body.transformToByteArray()).length > 0);

const container = {
  Image: `${images}-inference:1.12.1-cpu-py38`,
  ModelDataUrl: `s3://${bucket}/model.tar.gz`,
  Environment: { SAGEMAKER_PROGRAM: "inference.py", SAGEMAKER_SUBMIT_DIRECTORY: "/opt/ml/model/code" },
};
await sagemaker.send(new CreateModelCommand({ ModelName: name, ExecutionRoleArn: role, PrimaryContainer: container }));
await sagemaker.send(
  new CreateEndpointConfigCommand({
    EndpointConfigName: name,
    ProductionVariants: [
      { VariantName: "AllTraffic", ModelName: name, InitialInstanceCount: 1, InstanceType: "ml.m5.large" },
    ],
  }),
);
await sagemaker.send(new CreateEndpointCommand({ EndpointName: name, EndpointConfigName: name }));
await waitUntilEndpointInService({ client: sagemaker, ...patience }, { EndpointName: name });
const answer = await runtime.send(
  new InvokeEndpointCommand({ EndpointName: name, ContentType: "application/json", Body: "[1, 2.5]" }),
);
console.log("answer", new TextDecoder().decode(answer.Body), answer.InvokedProductionVariant);
await sagemaker.send(new DeleteEndpointCommand({ EndpointName: name }));
