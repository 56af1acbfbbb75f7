# A training job and an endpoint by the AWS CLI alone. $1: a name that nobody has, $2: the folder of the code.
set -euo pipefail
name=$1 code=$2 bucket=cli-$1
image=763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch
role=arn:aws:iam::000000000000:role/SageMakerHarness

aws s3 mb "s3://$bucket"
mkdir -p data && echo "1 2 3" >data/numbers.txt
aws s3 cp --quiet --recursive data "s3://$bucket/data"
tar -C "$code" -czf sourcedir.tar.gz train.py
aws s3 cp --quiet sourcedir.tar.gz "s3://$bucket/sourcedir.tar.gz"

aws sagemaker create-training-job --training-job-name "$name" --role-arn "$role" \
    --algorithm-specification "TrainingImage=$image-training:1.12.1-cpu-py38,TrainingInputMode=File" \
    --hyper-parameters "sagemaker_program=train.py,sagemaker_submit_directory=s3://$bucket/sourcedir.tar.gz,factor=4" \
    --input-data-config "ChannelName=training,DataSource={S3DataSource={S3DataType=S3Prefix,S3Uri=s3://$bucket/data}}" \
    --output-data-config "S3OutputPath=s3://$bucket/out" \
    --resource-config InstanceType=ml.m5.large,InstanceCount=2,VolumeSizeInGB=30 \
    --stopping-condition MaxRuntimeInSeconds=300 --query TrainingJobArn --output text
until [[ $(aws sagemaker describe-training-job --training-job-name "$name" \
    --query TrainingJobStatus --output text) != InProgress ]]; do
    :
done
aws sagemaker list-training-jobs --name-contains "$name" \
    --query 'TrainingJobSummaries[].[TrainingJobName, TrainingJobStatus]' --output text
aws sagemaker stop-training-job --training-job-name "$name" || true # it is over, and that is said
aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix "$name/" --format short

model=$(aws sagemaker describe-training-job --training-job-name "$name" \
    --query ModelArtifacts.S3ModelArtifacts --output text)
aws s3 cp --quiet "$model" trained.tar.gz
mkdir -p model/code && tar -C model -xzf trained.tar.gz && cp "$code/inference.py" model/code/
tar -C model -czf model.tar.gz .
aws s3 cp --quiet model.tar.gz "s3://$bucket/model.tar.gz"
aws sagemaker create-model --model-name "$name" --execution-role-arn "$role" --primary-container \
    "Image=$image-inference:1.12.1-cpu-py38,ModelDataUrl=s3://$bucket/model.tar.gz,Environment={SAGEMAKER_PROGRAM=inference.py,SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/model/code}" >model.json
aws sagemaker create-endpoint-config --endpoint-config-name "$name" --production-variants \
    "VariantName=AllTraffic,ModelName=$name,InitialInstanceCount=1,InstanceType=ml.m5.large" >config.json
aws sagemaker create-endpoint --endpoint-name "$name" --endpoint-config-name "$name" >endpoint.json
until [[ $(aws sagemaker describe-endpoint --endpoint-name "$name" \
    --query EndpointStatus --output text) != Creating ]]; do
    :
done
aws sagemaker-runtime invoke-endpoint --endpoint-name "$name" --content-type application/json \
    --cli-binary-format raw-in-base64-out --body '[1, 2.5]' answer.json >invoked.json
echo "answer $(cat answer.json)"
aws sagemaker delete-endpoint --endpoint-name "$name"
