import torch, warnings
from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.schedules import *
from autosearch.models.exact import *
from autosearch.models.diffusers.scheduler_grids import SchedulerGrids
m=Mixture.random(components=2,dimension=2,seed=1)
bad=0
for n in ("linear","scaled_linear","cosine"):
    d=ExactDenoiser(m,VariancePreserving(n),"noise",dtype=torch.float64)
    for s in SOLVERS:
        for k in (1,2,6,45,79,100):
            try:
                p=compile_recipe(baseline(f"{s}-karras@{k}",d),d)
                x=sample_indices(d,p,range(4),seed=0,stream=Stream.SEARCH)
                if not x.isfinite().all(): print("nan",n,s,k); bad+=1
            except Exception as e: print(n,s,k,e); bad+=1
print("bad",bad)
W=dict(_class_name="UniPCMultistepScheduler",prediction_type="flow_prediction",use_flow_sigmas=True)
for k in ("use_karras_sigmas","use_exponential_sigmas","use_beta_sigmas"):
    for cls in ("UniPCMultistepScheduler","DPMSolverMultistepScheduler"):
        try: print(k,cls,SchedulerGrids({**W,k:True,"_class_name":cls})("",4))
        except Exception as e: print(k,cls,e)
C={"linear": {}, "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}, "cosine": {"beta_schedule": "squaredcos_cap_v2"}}
import time; t=time.time()
for n,c in C.items():
  for sp in ("use_karras_sigmas","use_exponential_sigmas","use_beta_sigmas","use_lu_lambdas"):
    for end in ("zero","sigma_min"):
      g=SchedulerGrids({"_class_name":"DPMSolverMultistepScheduler",**c,sp:True,"final_sigmas_type":end})
      d=ExactDenoiser(m,g.schedule,"noise"); d.own_grids=g
      for s in ("dpmpp_2m","unipc","euler","heun","dpmpp_3s","deis","ddim"):
        for k in range(1,101):
          try: compile_recipe(baseline(f"{s}@{k}",d),d)
          except Exception as e: print(n,sp,end,s,k,e)
print(time.time()-t)
