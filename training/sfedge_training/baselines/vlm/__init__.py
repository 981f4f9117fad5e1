"""The paper's baselines: pre-trained vision-language models that learn every task as text."""
