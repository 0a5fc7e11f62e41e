"""Training and export; torch and transformers live here and nowhere else."""
